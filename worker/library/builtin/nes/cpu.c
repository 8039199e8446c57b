/* The computer's player. It presses keys like anyone else, so it is as fast as a
 * human; it looks at the comet only now and then and misjudges where it goes. */
#include "game.h"

/* By level: frames between looks, width of the misjudgement in pixels, frames before
 * a throw (least, and a mask of more), chance in 256 of a quick power throw. */
static const u8 look_time[3] = {26, 14, 7};
static const u8 misjudge[3] = {76, 54, 40};
static const u8 wait_least[3] = {26, 14, 4};
static const u8 wait_more[3] = {31, 31, 15};
static const u8 quick[3] = {10, 50, 130};

static u8 look[2], target_y[2], target_x[2], wait[2], throw_keys[2], seen_throw[2], error[2];
static u8 planned[2];

void cpu_reset(u8 p) {
    look[p] = planned[p] = error[p] = 0;
    target_y[p] = 128;
    target_x[p] = p ? 212 : 44;
    seen_throw[p] = comet_throws;
}

/* How to throw: mostly away from the opponent, sometimes anywhere, at times curved. */
static void plan_throw(u8 p) {
    static u8 r;
    planned[p] = 1;
    r = random();
    wait[p] = wait_least[cpu_level] + (r & wait_more[cpu_level]);
    if (random() < quick[cpu_level]) wait[p] = 3 + (r & 7);
    r = random();
    if (r < 70) throw_keys[p] = 0;
    else if (r < 110) throw_keys[p] = r & 1 ? KEY_UP : KEY_DOWN;
    else throw_keys[p] = PIXEL(player_y[p ^ 1]) > 128 ? KEY_UP : KEY_DOWN;
    if (throw_keys[p]) {
        r = random();
        if (r < 60) throw_keys[p] |= p ? KEY_RIGHT : KEY_LEFT;
        else if (r < 130) throw_keys[p] |= p ? KEY_LEFT : KEY_RIGHT;
    }
    throw_keys[p] |= random() < 60 ? KEY_B : KEY_A;
}

/* Where the comet will cross x, followed in steps of four frames. */
static u8 foresee(u8 x) {
    static u16 cx, cy;
    static int vx, vy, bend;
    static u8 n;
    cx = comet_x;
    cy = comet_y;
    vx = comet_vx * 4;
    vy = comet_vy * 4;
    bend = comet_bend * 16;
    for (n = 0; n < 24; ++n) {
        if (vx > 0 ? PIXEL(cx) >= x : PIXEL(cx) <= x) break;
        cx += vx;
        cy += vy;
        vy += bend;
        if (cy < SUBPIXEL(WALL_TOP + 7)) {
            cy = SUBPIXEL(2 * (WALL_TOP + 7)) - cy;
            vy = -vy;
            bend = 0;
        } else if (cy > SUBPIXEL(WALL_BOTTOM - 7)) {
            cy = (u16)(SUBPIXEL(WALL_BOTTOM - 7) - (cy - SUBPIXEL(WALL_BOTTOM - 7)));
            vy = -vy;
            bend = 0;
        }
    }
    return PIXEL(cy);
}

static void judge(u8 p) {
    static u8 coming, y;
    coming = comet_holder == NOBODY && (p ? comet_vx > 0 : comet_vx < 0);
    if (!coming) { /* wait in the middle, leaning to where the comet is */
        target_y[p] = 64 + (PIXEL(comet_y) >> 1);
        target_x[p] = p ? 212 : 44;
        return;
    }
    if (seen_throw[p] != comet_throws) {
        seen_throw[p] = comet_throws;
        error[p] = (u16)random() * misjudge[cpu_level] >> 8;
    }
    target_x[p] = p ? 220 : 36;
    y = foresee(target_x[p]) + error[p] - (misjudge[cpu_level] >> 1);
    if (y < WALL_TOP + 13) y = WALL_TOP + 13;
    if (y > WALL_BOTTOM - 12) y = WALL_BOTTOM - 12;
    target_y[p] = y;
    /* a hard opponent corrects itself as the comet comes near */
    if (cpu_level == 2) error[p] = (error[p] + (misjudge[2] >> 1)) >> 1;
}

static u8 steer(u8 p) {
    static u8 x, y, held;
    held = 0;
    x = PIXEL(player_x[p]);
    y = PIXEL(player_y[p]);
    if (y + 3 < target_y[p]) held = KEY_DOWN;
    else if (y > target_y[p] + 3) held = KEY_UP;
    if (x + 3 < target_x[p]) held |= KEY_RIGHT;
    else if (x > target_x[p] + 3) held |= KEY_LEFT;
    if (!cpu_level || comet_holder != NOBODY) return held;
    x = y < target_y[p] ? target_y[p] - y : y - target_y[p];
    if (x > 44) held = (held & (KEY_UP | KEY_DOWN)) | KEY_A; /* too far to run */
    return held;
}

void cpu_think(u8 p) {
    static u8 held;
    if (comet_holder == p) {
        if (!planned[p]) plan_throw(p);
        held = 0;
        if (wait[p]) --wait[p];
        else held = throw_keys[p];
    } else {
        planned[p] = 0;
        if (look[p]) {
            --look[p];
        } else {
            look[p] = look_time[cpu_level];
            judge(p);
        }
        held = steer(p);
    }
    keys_new[p] = held & ~keys[p];
    keys[p] = held;
}
