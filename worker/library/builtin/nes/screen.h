/* Text, tiles, colours and fades. */
#ifndef SCREEN_H
#define SCREEN_H

#include "console.h"

#define TILE_DIGIT 0x40
#define TILE_FLOOR 0x54
#define TILE_LINE 0x58
#define TILE_WALL_TOP 0x5A
#define TILE_WALL_BOTTOM 0x5B
#define TILE_GOAL_LEFT 0x5C
#define TILE_GOAL_RIGHT 0x5E
#define TILE_STAR 0x60
#define TILE_HEAT 0x64
#define TILE_PIP 0x66
#define TILE_BOX 0x68
#define TILE_RING 0x70
#define TILE_LOGO 0x80

/* Only while the screen is off. */
void at(u8 col, u8 row);
void clear_screen(void);
void stars(void);
void text(u8 col, u8 row, const char *s);
void box(u8 col, u8 row, u8 width, u8 height);
void tint(u8 col, u8 row, u8 width, u8 height, u8 pal); /* in cells of 16 x 16 */

/* While it is on: queued for the next frame. */
void queue(u8 col, u8 row, u8 len); /* then fill with queue_byte, len times */
void queue_byte(u8 tile);
void queue_text(u8 col, u8 row, const char *s);

/* Colours: colors[] is the wanted palette, shown at a brightness of 0 to 4. */
extern u8 colors[32];
void set_colors(const u8 *from);
void show_colors(u8 brightness);
void fade_in(void);
void fade_out(void); /* leaves the screen off */

u8 random(void);
extern u16 random_seed;

#endif
