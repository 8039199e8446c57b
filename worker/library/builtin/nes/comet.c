/* The comet: held, thrown, bent, bounced, caught, and past the line a goal. */
#include "game.h"

#define BASE_SPEED 620     /* 2.4 pixels a frame */
#define HEAT_SPEED 32      /* more for every throw of the rally */
#define MAX_HEAT 24        /* 6.6 pixels a frame with power, well below a catch */
#define POWER_SPEED 300    /* more if thrown at once */
#define POWER_TIME 12      /* frames after the catch that count as at once */
#define HOLD_TIME 75       /* then it slips out of the hand */
#define LOCK_TIME 12       /* the thrower cannot catch before */
#define REACH_X 12
#define REACH_Y 16
#define WAVE_TIME 16

u16 comet_x, comet_y;
int comet_vx, comet_vy, comet_bend;
u8 comet_holder, comet_held, comet_heat, comet_throws;

static u8 lock[2], wave, power;

void comet_serve(u8 p) {
    comet_holder = p;
    comet_held = POWER_TIME; /* a serve has no power */
    comet_heat = 0;
    comet_bend = comet_vx = comet_vy = 0;
    lock[0] = lock[1] = power = wave = 0;
    player_pose(p, POSE_HOLD, 0);
}

/* The direction of a throw: sixteenths of the speed, across and down. */
static void aim(u8 p, int speed, u8 curved) {
    static u8 back;
    static int across, down;
    back = p ? KEY_RIGHT : KEY_LEFT;
    if (!(keys[p] & (KEY_UP | KEY_DOWN))) {
        across = 16;
        down = 0;
    } else if (keys[p] & back) {
        across = 10;
        down = 13;
    } else if (keys[p] & (KEY_LEFT | KEY_RIGHT)) {
        across = 15;
        down = 6;
    } else {
        across = 13;
        down = 9;
    }
    if (keys[p] & KEY_UP) down = -down;
    comet_bend = 0;
    wave = 0;
    comet_vx = speed * across / 16;
    comet_vy = speed * down / 16;
    if (curved) {
        if (down) {
            comet_bend = comet_vy / -26; /* comes back to where it started */
        } else { /* a wave */
            comet_vy = speed / 2;
            if (frames & 1) comet_vy = -comet_vy;
            comet_bend = comet_vy / -8;
            wave = WAVE_TIME;
        }
    }
    if (p) comet_vx = -comet_vx;
}

void comet_throw(u8 p, u8 curved) {
    static int speed;
    speed = BASE_SPEED + comet_heat * HEAT_SPEED;
    power = comet_held < POWER_TIME;
    if (power) speed += POWER_SPEED;
    aim(p, speed, curved);
    if (comet_heat < MAX_HEAT) ++comet_heat;
    comet_holder = NOBODY;
    ++comet_throws;
    lock[p] = LOCK_TIME;
    player_pose(p, POSE_THROWN, 12);
    sound_play(power ? SOUND_BURN : SOUND_THROW);
    if (power) spark_burst(PIXEL(comet_x), PIXEL(comet_y));
}

/* Keeps the comet in the holder's hand. */
static void carry(void) {
    comet_x = player_x[comet_holder];
    if (comet_holder) comet_x -= SUBPIXEL(11);
    else comet_x += SUBPIXEL(11);
    comet_y = player_y[comet_holder];
    if (++comet_held == HOLD_TIME) comet_throw(comet_holder, 0);
}

static void walls(void) {
    if (comet_y < SUBPIXEL(WALL_TOP + 7)) {
        comet_y = SUBPIXEL(WALL_TOP + 7);
        if (comet_vy < 0) comet_vy = -comet_vy;
    } else if (comet_y > SUBPIXEL(WALL_BOTTOM - 7)) {
        comet_y = SUBPIXEL(WALL_BOTTOM - 7);
        if (comet_vy > 0) comet_vy = -comet_vy;
    } else {
        return;
    }
    comet_bend = 0;
    wave = 0;
    sound_play(SOUND_WALL);
}

static u8 reaches(u8 p) {
    static u8 a, b;
    a = PIXEL(player_x[p]);
    b = PIXEL(comet_x);
    if ((a > b ? a - b : b - a) >= REACH_X) return 0;
    a = PIXEL(player_y[p]);
    b = PIXEL(comet_y);
    return (a > b ? a - b : b - a) < REACH_Y;
}

static void catches(u8 p) {
    if (lock[p]) {
        --lock[p];
        return;
    }
    if (!reaches(p)) return;
    comet_holder = p;
    comet_held = 0;
    player_push[p] = power ? comet_vx / 2 : comet_vx / 4;
    player_dash[p] = 0;
    player_pose(p, POSE_HOLD, 0);
    sound_play(SOUND_CATCH);
    spark_burst(PIXEL(comet_x), PIXEL(comet_y));
    carry();
}

u8 comet_move(void) {
    if (comet_holder != NOBODY) {
        carry();
        return NOBODY;
    }
    comet_x += comet_vx;
    comet_y += comet_vy;
    comet_vy += comet_bend;
    if (wave && --wave == 0) {
        comet_bend = -comet_bend;
        wave = WAVE_TIME;
    }
    walls();
    if (bumpers && bumpers_hit()) {
        comet_bend = 0;
        wave = 0;
        lock[0] = lock[1] = 0;
    }
    spark_trail();
    catches(0);
    if (comet_holder == NOBODY) catches(1);
    if (comet_holder != NOBODY) return NOBODY;
    if (comet_x < SUBPIXEL(GOAL_LEFT)) return 1;
    if (comet_x > SUBPIXEL(GOAL_RIGHT)) return 0;
    return NOBODY;
}

void comet_draw(void) {
    spr_x = PIXEL(comet_x) - 8;
    spr_y = PIXEL(comet_y) - 8;
    spr_attr = power || comet_heat == MAX_HEAT ? 3 : 2;
    spr_tile = frames & 4 ? 4 : 8;
    draw_quad();
}
