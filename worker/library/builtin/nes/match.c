/* A match: the best of three rounds, each on another court and to seven points. */
#include "game.h"

#define SERVE_TIME 30
#define GOAL_TIME 70
#define DEMO_TIME 1500     /* frames the demonstration lasts */

u8 points[2], rounds_won[2], court;

static u16 demo_left;

static void draw(void) {
    sprites_begin();
    comet_draw();
    player_draw(0);
    player_draw(1);
    bumpers_draw();
    sparks_draw();
    sprites_end();
}

static u8 interrupted(void) {
    return demo && (pad_new[0] | pad_new[1]) & (KEY_START | KEY_A);
}

static void hold_still(u8 time) {
    for (; time; --time) {
        if (interrupted()) demo_left = 1; /* the rally ends at once */
        if (demo_left == 1) return;
        draw();
        wait_frame();
    }
}

/* A pad's START on the computer's side: its owner takes over. */
static void join(void) {
    if (!demo && cpu[1] && pad_new[1] & KEY_START) {
        cpu[1] = 0;
        pad_new[1] = 0;
        sound_play(SOUND_OK);
        names_queue();
    }
}

/* Waits for START; true if SELECT ended the match. */
static u8 pause(void) {
    u8 pressed;
    music_pause(1);
    sound_play(SOUND_PAUSE);
    message_show("  PAUSED  ");
    do {
        draw();
        wait_frame();
        pressed = pad_new[0] | pad_new[1];
    } while (!(pressed & (KEY_START | KEY_SELECT)));
    message_hide();
    music_pause(0);
    return pressed & KEY_SELECT;
}

static void read_keys(void) {
    static u8 p;
    for (p = 0; p < 2; ++p) {
        if (cpu[p]) {
            cpu_think(p);
        } else {
            keys[p] = pad[p];
            keys_new[p] = pad_new[p];
        }
    }
}

/* Plays until a goal. The scorer, or QUIT. */
static u8 rally(void) {
    static u8 scorer, heat_shown;
    heat_shown = 0xFF;
    for (;;) {
        if (demo) {
            if (interrupted() || --demo_left == 0) return QUIT;
        } else {
            join();
            if ((pad_new[0] | pad_new[1]) & KEY_START && pause()) return QUIT;
        }
        read_keys();
        player_move(0);
        player_move(1);
        bumpers_move();
        scorer = comet_move();
        draw();
        if (heat_shown != comet_heat) {
            heat_shown = comet_heat;
            heat_queue();
        }
        wait_frame();
        if (scorer != NOBODY) return scorer;
    }
}

/* The picture shakes, the scorer cheers. */
static void goal(u8 scorer) {
    static u8 worth, n;
    worth = PIXEL(comet_y) < CORNER_TOP || PIXEL(comet_y) >= CORNER_BOTTOM ? 2 : 1;
    points[scorer] += worth;
    sound_play(SOUND_GOAL);
    spark_burst(PIXEL(comet_x), PIXEL(comet_y));
    player_pose(scorer, POSE_CHEER, 0);
    comet_y = SUBPIXEL(252); /* out of sight */
    score_queue();
    message_show(worth == 2 ? " GOAL! +2 " : " GOAL! +1 ");
    for (n = GOAL_TIME; n; --n) {
        scroll_x = n > GOAL_TIME - 16 ? (n & 2 ? 3 : -3) : 0;
        draw();
        wait_frame();
    }
    message_hide();
}

static void serve(u8 p) {
    player_reset(0);
    player_reset(1);
    cpu_reset(0);
    cpu_reset(1);
    sparks_reset();
    comet_serve(p);
    comet_move();
    hold_still(SERVE_TIME);
}

static void announce(void) {
    static char text_round[] = " ROUND 1  ";
    text_round[7] = '1' + court;
    message_show(text_round);
    sound_play(SOUND_COUNT);
    hold_still(50);
    message_show("  READY!  ");
    sound_play(SOUND_COUNT);
    hold_still(40);
    message_show("   GO!    ");
    sound_play(SOUND_GO);
    hold_still(16);
    message_hide();
}

/* One round. The winner, or QUIT. */
static u8 round(void) {
    static u8 scorer;
    points[0] = points[1] = 0;
    court_draw();
    bumpers_reset();
    serve(!(court & 1));
    names_queue();
    wait_frame();
    score_queue();
    rounds_queue();
    fade_in();
    announce();
    do {
        scorer = rally();
        if (scorer == QUIT) return QUIT;
        goal(scorer);
        if (points[scorer] < POINTS_OF_ROUND) serve(scorer ^ 1);
    } while (points[scorer] < POINTS_OF_ROUND);
    ++rounds_won[scorer];
    rounds_queue();
    message_show(scorer ? "RIGHT WINS" : "LEFT  WINS");
    sound_play(SOUND_GO);
    hold_still(120);
    return scorer;
}

u8 match_run(void) {
    u8 winner;
    rounds_won[0] = rounds_won[1] = 0;
    court = demo ? frames % 3 : 0;
    demo_left = DEMO_TIME;
    if (!demo) music_play(SONG_PLAY);
    do {
        winner = round();
        fade_out();
        if (winner == QUIT) break;
        ++court;
    } while (rounds_won[winner] < ROUNDS_TO_WIN);
    return winner;
}
