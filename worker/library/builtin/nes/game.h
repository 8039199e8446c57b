/* The state of a match, and the parts that work on it. */
#ifndef GAME_H
#define GAME_H

#include "screen.h"

/* The court in pixels. Goal lines left and right, walls above and below. */
#define GOAL_LEFT 16
#define GOAL_RIGHT 240
#define WALL_TOP 48
#define WALL_BOTTOM 208
#define CORNER_TOP 80      /* goals above this and */
#define CORNER_BOTTOM 176  /* below this are worth 2 */

#define NOBODY 2
#define QUIT 3

#define POINTS_OF_ROUND 7
#define ROUNDS_TO_WIN 2

#define SUBPIXEL(n) ((u16)(n) << 8)
#define PIXEL(v) ((u8)((v) >> 8))

/* Menu choices. cpu[p] is true when the computer plays p; demo when nobody does. */
extern u8 cpu[2], cpu_level, demo;

/* Players: 0 left, 1 right. */
extern u16 player_x[2], player_y[2];
extern u8 keys[2], keys_new[2]; /* what each does this frame, human or not */
extern u8 points[2], rounds_won[2], court;

void player_reset(u8 p);
void player_move(u8 p);
void player_draw(u8 p);
void player_cheer(u8 p);
u8 player_slide(u8 p); /* true while pushed back */
extern u8 player_pose_time[2], player_dash[2];
extern int player_push[2];
#define POSE_RUN 0
#define POSE_HOLD 1
#define POSE_THROWN 2
#define POSE_CHEER 3
void player_pose(u8 p, u8 pose, u8 time);

/* The comet. */
extern u16 comet_x, comet_y;
extern int comet_vx, comet_vy, comet_bend;
extern u8 comet_holder, comet_held, comet_heat, comet_throws;
void comet_serve(u8 p);
u8 comet_move(void); /* the player who scored, or NOBODY */
void comet_throw(u8 p, u8 curved);
void comet_draw(void);

/* Bumpers of the later courts. */
extern u8 bumpers, bumper_y[2];
#define BUMPER_X 128
void bumpers_reset(void);
void bumpers_move(void);
void bumpers_draw(void);
u8 bumpers_hit(void); /* turns the comet; true if it did */

/* Sparks: a trail, and bursts. */
void sparks_reset(void);
void spark_trail(void);
void spark_burst(u8 x, u8 y);
void sparks_draw(void);

/* The computer: sets keys[p] and keys_new[p]. */
void cpu_think(u8 p);
void cpu_reset(u8 p);

/* Screens. */
void title_run(void);
void menu_run(void);
u8 match_run(void); /* the winner, or QUIT */
void winner_run(u8 winner);

/* The court's background and the score above it. */
void court_draw(void);
void score_queue(void);
void rounds_queue(void);
void names_queue(void);
void heat_queue(void);
void message_show(const char *s); /* 10 characters; takes a few frames */
void message_hide(void);
extern u8 message_shown;         /* sprites must not cover it */

#endif
