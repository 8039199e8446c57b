/* The court's picture: floor, walls, goals, and the score above. */
#include "game.h"

static const u8 floor_colors[3][3] = {
    {0x02, 0x12, 0x3C}, /* deep blue */
    {0x0B, 0x1A, 0x3A}, /* green */
    {0x04, 0x14, 0x35}, /* violet */
};

static const u8 court_colors[32] = {
    0x0F, 0x00, 0x10, 0x30, 0x0F, 0x02, 0x12, 0x3C, 0x0F, 0x01, 0x21, 0x3C, 0x0F, 0x06, 0x27, 0x38,
    0x0F, 0x01, 0x2C, 0x30, 0x0F, 0x06, 0x27, 0x30, 0x0F, 0x17, 0x28, 0x30, 0x0F, 0x15, 0x35, 0x30,
};

#define FIELD_TOP (WALL_TOP / 8)
#define FIELD_BOTTOM (WALL_BOTTOM / 8)
u8 message_shown;

#define MESSAGE_COL 10
#define MESSAGE_ROW 8

static u8 floor_tile(u8 col, u8 row) {
    if (row >= 14 && row < 18 && col >= 14 && col < 18) return TILE_RING + ((row - 14) << 2) + (col - 14);
    if (col == 15) return TILE_LINE;
    if (col == 16) return TILE_LINE + 1;
    return TILE_FLOOR + ((row & 1) << 1) + (col & 1);
}

static void field(void) {
    u8 row, col;
    for (row = FIELD_TOP; row < FIELD_BOTTOM; ++row) {
        at(0, row);
        PPU_DATA = TILE_GOAL_LEFT;
        PPU_DATA = TILE_GOAL_LEFT + 1;
        for (col = 2; col < 30; ++col) PPU_DATA = floor_tile(col, row);
        PPU_DATA = TILE_GOAL_RIGHT;
        PPU_DATA = TILE_GOAL_RIGHT + 1;
    }
    at(0, FIELD_TOP - 1);
    for (col = 0; col < 32; ++col) PPU_DATA = TILE_WALL_TOP;
    at(0, FIELD_BOTTOM);
    for (col = 0; col < 32; ++col) PPU_DATA = TILE_WALL_BOTTOM;
}

static void goals(void) {
    u8 side;
    for (side = 0; side < 32; side += 31) {
        text(side, 8, "2");
        text(side, 15, "1");
        text(side, 23, "2");
    }
    for (side = 0; side < 16; side += 15) {
        tint(side, 3, 1, 2, 3);
        tint(side, 5, 1, 6, 2);
        tint(side, 11, 1, 2, 3);
    }
}

void court_draw(void) {
    u8 i;
    message_shown = 0;
    clear_screen();
    set_colors(court_colors);
    for (i = 0; i < 3; ++i) colors[5 + i] = floor_colors[court][i];
    field();
    tint(0, 2, 16, 12, 1);
    goals();
    tint(0, 1, 7, 1, 2);
    tint(9, 1, 7, 1, 3);
    text(10, 28, "HEAT");
    text(15, 2, "--");
}

void score_queue(void) {
    u8 p, col, digit;
    for (p = 0; p < 2; ++p) {
        col = p ? 18 : 13;
        digit = TILE_DIGIT + (points[p] << 1);
        queue(col, 2, 1);
        queue_byte(digit);
        queue(col, 3, 1);
        queue_byte(digit + 1);
    }
}

void rounds_queue(void) {
    u8 p, n;
    for (p = 0; p < 2; ++p) {
        queue(p ? 20 : 10, 3, ROUNDS_TO_WIN);
        for (n = 0; n < ROUNDS_TO_WIN; ++n) {
            if (p) queue_byte(TILE_PIP + (ROUNDS_TO_WIN - n <= rounds_won[p]));
            else queue_byte(TILE_PIP + (n < rounds_won[p]));
        }
    }
}

void names_queue(void) {
    queue_text(1, 2, cpu[0] ? "CPU     " : "PLAYER 1");
    queue_text(23, 2, cpu[1] ? "     CPU" : "PLAYER 2");
}

void heat_queue(void) {
    static const u8 limit[6] = {1, 3, 5, 8, 13, 20}; /* throws that light each */
    static u8 i;
    queue(15, 28, 6);
    for (i = 0; i < 6; ++i) queue_byte(TILE_HEAT + (comet_heat >= limit[i]));
}

/* One row of the message box a frame, to stay within the vertical blank. */
void message_show(const char *s) {
    static u8 i;
    message_shown = 1;
    queue(MESSAGE_COL, MESSAGE_ROW, 12);
    queue_byte(TILE_BOX);
    for (i = 0; i < 10; ++i) queue_byte(TILE_BOX + 4);
    queue_byte(TILE_BOX + 1);
    wait_frame();
    queue(MESSAGE_COL, MESSAGE_ROW + 1, 12);
    queue_byte(TILE_BOX + 5);
    for (i = 0; i < 10; ++i) queue_byte(s[i] - ' ');
    queue_byte(TILE_BOX + 6);
    wait_frame();
    queue(MESSAGE_COL, MESSAGE_ROW + 2, 12);
    queue_byte(TILE_BOX + 2);
    for (i = 0; i < 10; ++i) queue_byte(TILE_BOX + 7);
    queue_byte(TILE_BOX + 3);
    wait_frame();
}

void message_hide(void) {
    static u8 row, col;
    message_shown = 0;
    for (row = MESSAGE_ROW; row < MESSAGE_ROW + 3; ++row) {
        queue(MESSAGE_COL, row, 12);
        for (col = MESSAGE_COL; col < MESSAGE_COL + 12; ++col) queue_byte(floor_tile(col, row));
        wait_frame();
    }
}
