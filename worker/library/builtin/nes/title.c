/* The title: the logo, and a rally of two figures below it. */
#include "game.h"

#define DEMO_AFTER 1200 /* frames without a key */

static const u8 title_colors[32] = {
    0x0F, 0x00, 0x10, 0x30, 0x0F, 0x17, 0x27, 0x38, 0x0F, 0x11, 0x21, 0x3C, 0x0F, 0x00, 0x10, 0x30,
    0x0F, 0x01, 0x2C, 0x30, 0x0F, 0x06, 0x27, 0x30, 0x0F, 0x17, 0x28, 0x30, 0x0F, 0x15, 0x35, 0x30,
};

/* The same while A is held: a bright sky, the logo white hot. */
static const u8 lit_colors[32] = {
    0x12, 0x02, 0x31, 0x30, 0x12, 0x28, 0x38, 0x30, 0x12, 0x2C, 0x3C, 0x30, 0x12, 0x00, 0x10, 0x30,
    0x12, 0x01, 0x2C, 0x30, 0x12, 0x06, 0x27, 0x30, 0x12, 0x17, 0x28, 0x30, 0x12, 0x15, 0x35, 0x30,
};

/* Letters of the logo in the order of their tiles: C O M E T U R. */
static void word(u8 row, const u8 *letters) {
    u8 n, line, i, tile;
    for (line = 0; line < 4; ++line) {
        at(6, row + line);
        for (n = 0; n < 5; ++n) {
            tile = TILE_LOGO + (letters[n] << 4) + (line << 2);
            for (i = 0; i < 4; ++i) PPU_DATA = tile++;
        }
    }
}

static void draw(void) {
    static const u8 comet[5] = {0, 1, 2, 3, 4};
    static const u8 court_word[5] = {0, 1, 5, 6, 4};
    clear_screen();
    set_colors(title_colors);
    stars();
    word(4, comet);
    word(9, court_word);
    tint(3, 2, 10, 2, 1);
    tint(3, 4, 10, 3, 2);
    text(4, 14, "CATCH IT - HURL IT BACK!");
    text(6, 26, "A CLOUDRETRO ORIGINAL");
}

static u16 ball;

/* The comet goes to and fro between the figures, 2 pixels a frame. */
static void rally(void) {
    static u8 t;
    t = (u8)ball;
    if (++ball == 160) ball = 0;
    comet_x = SUBPIXEL(t < 80 ? 48 + (t << 1) : 208 - ((t - 80) << 1));
    comet_y = SUBPIXEL(180);
    player_pose(0, t < 12 ? POSE_THROWN : t > 140 ? POSE_HOLD : POSE_RUN, 0);
    player_pose(1, t >= 80 && t < 92 ? POSE_THROWN : t > 60 && t < 80 ? POSE_HOLD : POSE_RUN, 0);
    spark_trail();
    sprites_begin();
    comet_draw();
    player_draw(0);
    player_draw(1);
    sparks_draw();
    sprites_end();
}

static void place(void) {
    ball = 0;
    player_reset(0);
    player_reset(1);
    sparks_reset();
    comet_serve(0);
    player_x[0] = SUBPIXEL(32);
    player_x[1] = SUBPIXEL(224);
    player_y[0] = player_y[1] = SUBPIXEL(182);
}

void title_run(void) {
    u8 lit, was_lit, keys_down;
    u16 idle = 0;
    draw();
    place();
    music_play(SONG_TITLE);
    rally();
    fade_in();
    demo = was_lit = 0;
    for (;;) {
        keys_down = pad_new[0] | pad_new[1];
        if (keys_down & KEY_START) break;
        lit = (pad[0] | pad[1]) & KEY_A;
        if (lit != was_lit) {
            set_colors(lit ? lit_colors : title_colors);
            show_colors(4);
            was_lit = lit;
        }
        if (pad[0] | pad[1]) idle = 0;
        if (++idle == DEMO_AFTER) {
            demo = 1;
            break;
        }
        if (!(frames & 31)) queue_text(10, 18, frames & 32 ? "           " : "PRESS START");
        rally();
        wait_frame();
    }
    random_seed ^= (u16)frames << 3;
    if (!random_seed) random_seed = 1;
    if (!demo) sound_play(SOUND_OK);
    fade_out();
}
