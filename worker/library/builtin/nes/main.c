/* Comet Court: two players hurl a comet across a court. */
#include "game.h"

void main(void) {
    u8 winner;
    console_init();
    for (;;) {
        screen_off();
        title_run();
        if (demo) {
            cpu[0] = cpu[1] = 1;
            match_run();
            continue;
        }
        menu_run();
        winner = match_run();
        if (winner != QUIT) winner_run(winner);
    }
}
