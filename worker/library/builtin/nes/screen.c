#include "screen.h"

u8 colors[32];
u16 random_seed = 0x1D2B;

static u8 attributes[64]; /* mirror of the screen's attribute table */

void at(u8 col, u8 row) {
    u16 a = 0x2000 | ((u16)row << 5) | col;
    PPU_ADDR = a >> 8;
    PPU_ADDR = (u8)a;
}

static void write_attributes(void) {
    u8 i;
    PPU_ADDR = 0x23;
    PPU_ADDR = 0xC0;
    for (i = 0; i < 64; ++i) PPU_DATA = attributes[i];
}

void clear_screen(void) {
    u8 i;
    sprites_begin();
    sprites_end();
    PPU_ADDR = 0x20;
    PPU_ADDR = 0x00;
    i = 0;
    do { /* 4 x 256 */
        PPU_DATA = 0;
        PPU_DATA = 0;
        PPU_DATA = 0;
        PPU_DATA = 0;
    } while (++i);
    for (i = 0; i < 64; ++i) attributes[i] = 0;
    write_attributes();
}

/* A sky of stars that is the same every time. */
void stars(void) {
    static const u8 place[] = {3, 2, 9, 1, 17, 3, 24, 2, 29, 4, 1, 8, 30, 10, 4, 14, 27, 15, 2, 19,
                               11, 16, 22, 18, 29, 20, 1, 22, 16, 23, 25, 24, 3, 26, 12, 26, 20, 27, 28, 27};
    u8 i;
    for (i = 0; i < sizeof place; i += 2) {
        at(place[i], place[i + 1]);
        PPU_DATA = TILE_STAR + ((i >> 1) & 3);
    }
}

void text(u8 col, u8 row, const char *s) {
    at(col, row);
    while (*s) PPU_DATA = *s++ - ' ';
}

static void box_row(u8 width, u8 left, u8 middle, u8 right) {
    PPU_DATA = left;
    for (width -= 2; width; --width) PPU_DATA = middle;
    PPU_DATA = right;
}

void box(u8 col, u8 row, u8 width, u8 height) {
    at(col, row);
    box_row(width, TILE_BOX, TILE_BOX + 4, TILE_BOX + 1);
    for (height -= 2; height; --height) {
        at(col, ++row);
        box_row(width, TILE_BOX + 5, 0, TILE_BOX + 6);
    }
    at(col, ++row);
    box_row(width, TILE_BOX + 2, TILE_BOX + 7, TILE_BOX + 3);
}

void tint(u8 col, u8 row, u8 width, u8 height, u8 pal) {
    u8 x, y, i, shift;
    for (y = row; y < row + height; ++y) {
        for (x = col; x < col + width; ++x) {
            i = ((y & 0xFE) << 2) | (x >> 1);
            shift = ((y & 1) << 2) | ((x & 1) << 1);
            attributes[i] = (attributes[i] & ~(3 << shift)) | (pal << shift);
        }
    }
    write_attributes();
}

void queue(u8 col, u8 row, u8 len) {
    u16 a = 0x2000 | ((u16)row << 5) | col;
    updates[updates_len] = 0xFF; /* the frame ends here until the record is whole */
    updates[updates_len + 1] = (u8)a;
    updates[updates_len + 2] = len;
    updates[updates_len + 3 + len] = 0xFF;
    updates[updates_len] = a >> 8;
    updates_len += 3;
}

void queue_byte(u8 tile) {
    updates[updates_len++] = tile;
}

void queue_text(u8 col, u8 row, const char *s) {
    u8 n = 0;
    while (s[n]) ++n;
    queue(col, row, n);
    while (*s) queue_byte(*s++ - ' ');
}

void set_colors(const u8 *from) {
    u8 i;
    for (i = 0; i < 32; ++i) colors[i] = from[i];
}

void show_colors(u8 brightness) {
    u8 i, c, less;
    less = (4 - brightness) << 4;
    palette_dirty = 0;
    for (i = 0; i < 32; ++i) {
        c = colors[i];
        if (less) c = c < less ? 0x0F : c - less;
        palette[i] = c;
    }
    palette_dirty = 1;
}

void fade_in(void) {
    u8 level, n;
    show_colors(0);
    screen_on();
    for (level = 1; level <= 4; ++level) {
        show_colors(level);
        for (n = 0; n < 3; ++n) wait_frame();
    }
}

void fade_out(void) {
    u8 level, n;
    for (level = 4; level; --level) {
        show_colors(level - 1);
        for (n = 0; n < 2; ++n) wait_frame();
    }
    scroll_x = 0;
    screen_off();
}

u8 random(void) {
    u8 n;
    for (n = 0; n < 3; ++n) {
        if (random_seed & 1) random_seed = (random_seed >> 1) ^ 0xB400;
        else random_seed >>= 1;
    }
    return (u8)random_seed ^ frames;
}
