; Sound effects: for each frame the three registers of its channel, then $FF.
; The pulse part and the noise part of an effect start together.

        .export sound_pulse, sound_noise
        .segment "SONGS"

; Order as SOUND_* in console.h.
sound_pulse:
        .word move_p, ok_p, catch_p, 0, burn_p, wall_p, bump_p, goal_p, count_p, go_p, 0, pause_p
sound_noise:
        .word 0, 0, catch_n, throw_n, burn_n, 0, 0, goal_n, 0, 0, dash_n, 0

; n frames of a tone: duty and volume v falling by drop, period from p by d.
.macro slide n, duty, v, drop, p, d
        .repeat n, i
        .byte (duty << 6) | $30 | (v - i * drop / 8), <(p + i * d), >(p + i * d)
        .endrepeat
.endmacro

; n frames of noise: volume v falling by drop, period from p by d / 8.
.macro hiss n, v, drop, p, d
        .repeat n, i
        .byte $30 | (v - i * drop / 8), (p + i * d / 8) & 15, $08
        .endrepeat
.endmacro

move_p:  slide 4, 2, 8, 8, 252, 0
         .byte $FF
ok_p:    slide 4, 2, 9, 4, 252, 0
         slide 8, 2, 9, 8, 125, 0
         .byte $FF
catch_p: slide 6, 1, 11, 12, 380, -30
         .byte $FF
catch_n: hiss 5, 9, 14, 4, 0
         .byte $FF
throw_n: hiss 10, 10, 8, 6, -3
         .byte $FF
burn_p:  slide 14, 0, 12, 6, 180, 22
         .byte $FF
burn_n:  hiss 18, 13, 5, 3, 4
         .byte $FF
wall_p:  slide 5, 2, 9, 13, 330, 0
         .byte $FF
bump_p:  slide 4, 1, 11, 4, 160, 0
         slide 8, 1, 9, 8, 120, 0
         .byte $FF
goal_p:  slide 10, 2, 12, 2, 213, 0
         slide 10, 2, 12, 2, 169, 0
         slide 10, 2, 12, 2, 142, 0
         slide 22, 2, 12, 4, 106, 0
         .byte $FF
goal_n:  hiss 30, 14, 3, 7, 2
         .byte $FF
count_p: slide 8, 2, 10, 8, 253, 0
         .byte $FF
go_p:    slide 24, 2, 11, 3, 126, 0
         .byte $FF
dash_n:  hiss 8, 7, 7, 2, 2
         .byte $FF
pause_p: slide 5, 2, 9, 2, 169, 0
         slide 5, 2, 9, 2, 213, 0
         slide 10, 2, 9, 6, 127, 0
         .byte $FF
