/* The menu: who plays, and how well the computer does. */
#include "game.h"

#define ROW_PLAYERS 7
#define ROW_LEVEL 10
#define VALUE_COL 17

u8 cpu[2], cpu_level = 1, demo;

static u8 two_players, on_level;

static const u8 menu_colors[32] = {
    0x0F, 0x01, 0x21, 0x30, 0x0F, 0x17, 0x27, 0x38, 0x0F, 0x11, 0x21, 0x3C, 0x0F, 0x00, 0x00, 0x10,
    0x0F, 0x01, 0x2C, 0x30, 0x0F, 0x06, 0x27, 0x30, 0x0F, 0x17, 0x28, 0x30, 0x0F, 0x15, 0x35, 0x30,
};

static void draw(void) {
    clear_screen();
    set_colors(menu_colors);
    stars();
    text(10, 3, "NEW  MATCH");
    tint(5, 1, 6, 1, 1);
    box(3, 5, 26, 8);
    text(8, ROW_PLAYERS, "PLAYERS");
    text(8, ROW_LEVEL, "CPU");
    text(4, 15, "A  STRAIGHT THROW");
    text(4, 17, "B  CURVED THROW");
    text(4, 19, "UP OR DOWN AIMS");
    text(4, 21, "QUICK THROWS BURN!");
    text(4, 23, "RUN AND A OR B - DASH");
    tint(1, 7, 15, 5, 2);
    text(6, 26, "PRESS START TO PLAY");
    tint(1, 13, 15, 1, 1);
}

static void show_values(void) {
    static const char *levels[3] = {"< EASY >  ", "< NORMAL >", "< HARD >  "};
    queue_text(VALUE_COL, ROW_PLAYERS, two_players ? "< 2 >     " : "< 1 >     ");
    if (two_players) queue_text(VALUE_COL, ROW_LEVEL, "   ---    ");
    else queue_text(VALUE_COL, ROW_LEVEL, levels[cpu_level]);
}

static void change(u8 key) {
    sound_play(SOUND_MOVE);
    if (!on_level) {
        two_players ^= 1;
    } else if (key & KEY_RIGHT) {
        if (++cpu_level == 3) cpu_level = 0;
    } else {
        cpu_level = cpu_level ? cpu_level - 1 : 2;
    }
    show_values();
}

static void draw_cursor(void) {
    sprites_begin();
    spr_x = 44;
    spr_y = (on_level ? ROW_LEVEL : ROW_PLAYERS) * 8 - 4;
    spr_tile = frames & 8 ? 4 : 8;
    spr_attr = 2;
    draw_quad();
    sprites_end();
}

void menu_run(void) {
    u8 key;
    draw();
    on_level = 0;
    show_values();
    draw_cursor();
    fade_in();
    for (;;) {
        key = pad_new[0] | pad_new[1];
        if (key & (KEY_START | KEY_A)) break;
        if (key & (KEY_UP | KEY_DOWN | KEY_SELECT)) {
            on_level = !on_level && !two_players;
            sound_play(SOUND_MOVE);
        }
        if (key & (KEY_LEFT | KEY_RIGHT)) change(key);
        draw_cursor();
        wait_frame();
    }
    sound_play(SOUND_OK);
    cpu[0] = 0;
    cpu[1] = !two_players;
    fade_out();
}
