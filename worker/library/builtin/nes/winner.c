/* The end of a match: the winner cheers under sparks. */
#include "game.h"

static const u8 winner_colors[32] = {
    0x0F, 0x01, 0x21, 0x30, 0x0F, 0x17, 0x28, 0x30, 0x0F, 0x11, 0x21, 0x3C, 0x0F, 0x06, 0x27, 0x38,
    0x0F, 0x01, 0x2C, 0x30, 0x0F, 0x06, 0x27, 0x30, 0x0F, 0x17, 0x28, 0x30, 0x0F, 0x15, 0x35, 0x30,
};

static void draw(u8 winner) {
    u8 i;
    clear_screen();
    set_colors(winner_colors);
    stars();
    box(5, 5, 22, 8);
    text(10, 7, winner ? (cpu[1] ? "THE COMPUTER" : "  PLAYER 2") : "  PLAYER 1");
    text(8, 9, "WINS THE MATCH!");
    tint(3, 3, 10, 3, winner ? 3 : 2);
    at(11, 11);
    PPU_DATA = '0' - ' ' + rounds_won[0];
    text(13, 11, "ROUNDS");
    at(20, 11);
    PPU_DATA = '0' - ' ' + rounds_won[1];
    at(10, 21);
    for (i = 0; i < 12; ++i) PPU_DATA = TILE_WALL_TOP;
    tint(5, 10, 6, 1, 1);
}

void winner_run(u8 winner) {
    u8 n = 0;
    draw(winner);
    player_reset(0);
    player_reset(1);
    sparks_reset();
    comet_serve(winner);
    player_x[winner] = SUBPIXEL(128);
    player_y[winner] = SUBPIXEL(158);
    player_pose(winner, POSE_CHEER, 0);
    comet_x = SUBPIXEL(128);
    comet_y = SUBPIXEL(132);
    music_play(winner && cpu[1] ? SONG_LOSE : SONG_WIN);
    fade_in();
    do {
        if (!(n & 15)) spark_burst(40 + (random() & 127) + (random() & 31), 120 + (random() & 63));
        if (n == 60) queue_text(10, 25, "PRESS START");
        ++n;
        sprites_begin();
        player_draw(winner);
        comet_draw();
        sparks_draw();
        sprites_end();
        wait_frame();
    } while (!((pad_new[0] | pad_new[1]) & KEY_START));
    music_play(SONG_NONE);
    fade_out();
}
