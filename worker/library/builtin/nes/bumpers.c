/* Bumpers on the centre line: none, two that stand, two that move. */
#include "game.h"

#define REACH 13
#define MIN_VX 384         /* after a bump the comet still crosses the court */

u8 bumpers, bumper_y[2];
static u8 falling, glow[2];

void bumpers_reset(void) {
    bumpers = court ? 2 : 0;
    bumper_y[0] = 80;
    bumper_y[1] = 176;
    falling = 1;
    glow[0] = glow[1] = 0;
}

void bumpers_move(void) {
    if (court < 2 || frames & 1) return;
    if (falling) {
        ++bumper_y[0];
        --bumper_y[1];
        if (bumper_y[0] >= 118) falling = 0;
    } else {
        --bumper_y[0];
        ++bumper_y[1];
        if (bumper_y[0] <= 64) falling = 1;
    }
}

u8 bumpers_hit(void) {
    static u8 i, x, y, dx, dy;
    x = PIXEL(comet_x);
    dx = x < BUMPER_X ? BUMPER_X - x : x - BUMPER_X;
    if (dx >= REACH) return 0;
    y = PIXEL(comet_y);
    for (i = 0; i < 2; ++i) {
        dy = y < bumper_y[i] ? bumper_y[i] - y : y - bumper_y[i];
        if (dy >= REACH) continue;
        if (dx >= dy) { /* from the side: back where it came from */
            if ((x < BUMPER_X) == (comet_vx > 0)) comet_vx = -comet_vx;
        } else if ((y < bumper_y[i]) == (comet_vy > 0)) {
            comet_vy = -comet_vy;
        }
        comet_vy += y < bumper_y[i] ? -160 : 160;
        if (comet_vx >= 0 && comet_vx < MIN_VX) comet_vx = MIN_VX;
        if (comet_vx < 0 && comet_vx > -MIN_VX) comet_vx = -MIN_VX;
        if (!glow[i]) sound_play(SOUND_BUMP);
        glow[i] = 10;
        return 1;
    }
    return 0;
}

void bumpers_draw(void) {
    static u8 i;
    if (message_shown) return;
    for (i = 0; i < bumpers; ++i) {
        spr_x = BUMPER_X - 8;
        spr_y = bumper_y[i] - 8;
        spr_tile = 0x0C;
        spr_attr = 3;
        if (glow[i]) {
            spr_attr = 2;
            --glow[i];
        }
        draw_quad();
    }
}
