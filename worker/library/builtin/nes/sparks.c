/* Small lights: the comet's trail and bursts of four. Newest first, so that the
 * oldest is what the PPU's eight sprites a line leave out. */
#include "game.h"

#define COUNT 10
#define LIFE 15

static u8 spark_x[COUNT], spark_y[COUNT], life[COUNT], going[COUNT];
static u8 next;

void sparks_reset(void) {
    u8 i;
    for (i = 0; i < COUNT; ++i) life[i] = 0;
}

static void add(u8 x, u8 y, u8 direction) {
    if (++next == COUNT) next = 0;
    spark_x[next] = x - 4;
    spark_y[next] = y - 4;
    life[next] = LIFE;
    going[next] = direction;
}

void spark_trail(void) {
    if (!(frames & 3)) add(PIXEL(comet_x), PIXEL(comet_y), 0);
}

void spark_burst(u8 x, u8 y) {
    add(x, y, KEY_UP | KEY_LEFT);
    add(x, y, KEY_UP | KEY_RIGHT);
    add(x, y, KEY_DOWN | KEY_LEFT);
    add(x, y, KEY_DOWN | KEY_RIGHT);
}

void sparks_draw(void) {
    static u8 i, n, way;
    spr_attr = 2;
    i = next;
    for (n = 0; n < COUNT; ++n) {
        if (life[i]) {
            --life[i];
            way = going[i];
            if (way) {
                if (way & KEY_UP) spark_y[i] -= 2;
                else spark_y[i] += 2;
                if (way & KEY_LEFT) spark_x[i] -= 2;
                else spark_x[i] += 2;
            }
            spr_x = spark_x[i];
            spr_y = spark_y[i];
            spr_tile = life[i] > 10 ? 1 : life[i] > 5 ? 2 : 3;
            draw_dot();
        }
        i = i ? i - 1 : COUNT - 1;
    }
}
