/* The console as the game sees it: frame.s, quad.s and audio.s. */
#ifndef CONSOLE_H
#define CONSOLE_H

typedef unsigned char u8;
typedef unsigned int u16; /* 16 bits with cc65; positions are 8.8 fixed point */

#define PPU_ADDR (*(volatile u8 *)0x2006)
#define PPU_DATA (*(volatile u8 *)0x2007)

/* Buttons of pad[] and pad_new[]. */
#define KEY_A 0x80
#define KEY_B 0x40
#define KEY_SELECT 0x20
#define KEY_START 0x10
#define KEY_UP 0x08
#define KEY_DOWN 0x04
#define KEY_LEFT 0x02
#define KEY_RIGHT 0x01

extern u8 frames, scroll_x, pad[2], pad_new[2];
extern u8 spr_x, spr_y, spr_tile, spr_attr;
#pragma zpsym("frames")
#pragma zpsym("scroll_x")
#pragma zpsym("pad")
#pragma zpsym("pad_new")
#pragma zpsym("spr_x")
#pragma zpsym("spr_y")
#pragma zpsym("spr_tile")
#pragma zpsym("spr_attr")

/* What the next frame hands to the PPU. updates[] holds records of address
 * high, low, length and bytes, closed by 0xFF; at most 60 bytes a frame. */
extern u8 palette[32], palette_dirty, updates[80], updates_len;

void console_init(void);
void wait_frame(void);
void screen_off(void);
void screen_on(void);

void sprites_begin(void);
void sprites_end(void);
void draw_quad(void); /* 16 x 16 */
void draw_half(void); /* 16 x 8 */
void draw_dot(void);  /* 8 x 8 */

#define SONG_NONE 0
#define SONG_TITLE 1
#define SONG_PLAY 2
#define SONG_WIN 3
#define SONG_LOSE 4

#define SOUND_MOVE 0
#define SOUND_OK 1
#define SOUND_CATCH 2
#define SOUND_THROW 3
#define SOUND_BURN 4
#define SOUND_WALL 5
#define SOUND_BUMP 6
#define SOUND_GOAL 7
#define SOUND_COUNT 8
#define SOUND_GO 9
#define SOUND_DASH 10
#define SOUND_PAUSE 11

void __fastcall__ music_play(u8 song);
void __fastcall__ music_pause(u8 on);
void __fastcall__ sound_play(u8 effect);

#endif
