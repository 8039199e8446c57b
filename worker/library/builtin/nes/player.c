/* The two players: they run and dash in their half and catch what they touch. */
#include "game.h"

#define SPEED 448           /* 1.75 pixels a frame */
#define SPEED_DIAGONAL 317
#define CREEP 144           /* with the comet in hand */
#define CREEP_DIAGONAL 102
#define DASH 1088
#define DASH_DIAGONAL 770
#define DASH_TIME 9
#define DASH_REST 22        /* until the next */

#define MIN_Y SUBPIXEL(WALL_TOP + 13)
#define MAX_Y SUBPIXEL(WALL_BOTTOM - 12)

#define UPPER 0x10
#define LEGS 0x20

u16 player_x[2], player_y[2];
u8 keys[2], keys_new[2];
u8 player_pose_time[2], player_dash[2];
int player_push[2];

static u8 pose[2], dash_keys[2], dash_rest[2], stride[2];
static const u16 min_x[2] = {SUBPIXEL(GOAL_LEFT + 10), SUBPIXEL(142)};
static const u16 max_x[2] = {SUBPIXEL(114), SUBPIXEL(GOAL_RIGHT - 10)};

void player_reset(u8 p) {
    player_x[p] = p ? SUBPIXEL(200) : SUBPIXEL(56);
    player_y[p] = SUBPIXEL(128);
    player_push[p] = 0;
    player_dash[p] = dash_rest[p] = stride[p] = 0;
    player_pose(p, POSE_RUN, 0);
}

void player_pose(u8 p, u8 new_pose, u8 time) {
    pose[p] = new_pose;
    player_pose_time[p] = time;
}

/* Moves p by the speeds given, in the directions held, and keeps it in its half. */
static void go(u8 p, u8 held, u16 straight, u16 diagonal) {
    static u16 speed, x, y;
    speed = (held & (KEY_UP | KEY_DOWN)) && (held & (KEY_LEFT | KEY_RIGHT)) ? diagonal : straight;
    x = player_x[p];
    y = player_y[p];
    if (held & KEY_LEFT) x -= speed;
    else if (held & KEY_RIGHT) x += speed;
    if (held & KEY_UP) y -= speed;
    else if (held & KEY_DOWN) y += speed;
    if (x < min_x[p]) x = min_x[p];
    if (x > max_x[p]) x = max_x[p];
    if (y < MIN_Y) y = MIN_Y;
    if (y > MAX_Y) y = MAX_Y;
    player_x[p] = x;
    player_y[p] = y;
}

/* A caught comet pushes its catcher back; the push fades by an eighth a frame. */
u8 player_slide(u8 p) {
    if (!player_push[p]) return 0;
    player_x[p] += player_push[p];
    if (player_x[p] < min_x[p]) player_x[p] = min_x[p];
    if (player_x[p] > max_x[p]) player_x[p] = max_x[p];
    player_push[p] -= player_push[p] / 8;
    if (player_push[p] > -24 && player_push[p] < 24) player_push[p] = 0;
    return 1;
}

void player_move(u8 p) {
    static u8 held;
    if (player_pose_time[p] && --player_pose_time[p] == 0) pose[p] = POSE_RUN;
    if (dash_rest[p]) --dash_rest[p];
    held = keys[p] & (KEY_UP | KEY_DOWN | KEY_LEFT | KEY_RIGHT);
    if (comet_holder == p) {
        stride[p] = 0;
        if (!player_slide(p) && held) {
            stride[p] = frames | 1;
            go(p, held, CREEP, CREEP_DIAGONAL);
        }
        if (keys_new[p] & KEY_A) comet_throw(p, 0);
        else if (keys_new[p] & KEY_B) comet_throw(p, 1);
        return;
    }
    if (player_dash[p]) {
        --player_dash[p];
        go(p, dash_keys[p], DASH, DASH_DIAGONAL);
        return;
    }
    if (pose[p] == POSE_THROWN && player_pose_time[p] > 6) return; /* the arm is still out */
    if (held && (keys_new[p] & (KEY_A | KEY_B)) && !dash_rest[p]) {
        player_dash[p] = DASH_TIME;
        dash_rest[p] = DASH_REST;
        dash_keys[p] = held;
        sound_play(SOUND_DASH);
        return;
    }
    if (!held) {
        stride[p] = 0;
        return;
    }
    ++stride[p];
    go(p, held, SPEED, SPEED_DIAGONAL);
}

void player_draw(u8 p) {
    spr_x = PIXEL(player_x[p]) - 8;
    spr_y = PIXEL(player_y[p]) - 14;
    spr_attr = p ? 0x41 : 0x00;
    spr_tile = UPPER + (pose[p] << 2);
    if (pose[p] == POSE_CHEER && frames & 8) spr_y -= 3;
    draw_quad();
    spr_y += 8;
    if (player_dash[p] || pose[p] == POSE_THROWN) spr_tile = LEGS + 6;
    else if (stride[p]) spr_tile = stride[p] & 8 ? LEGS + 4 : LEGS + 2;
    else spr_tile = LEGS;
    draw_half();
}
