; The music: a theme for the title, one for play, and two short endings.

        .export song_table, instruments
        .include "song.inc"

S       = 6                     ; frames of a sixteenth in play: 150 beats a minute
T       = 8                     ; on the title

        .segment "SONGS"
song_table:
        .word 0, song_title, song_play, song_win, song_lose
song_title: .word title_lead, title_arp, title_bass, title_drum
song_play:  .word play_lead, play_arp, play_bass, play_drum
song_win:   .word win_lead, win_second, win_bass, silent
song_lose:  .word lose_lead, lose_second, lose_bass, silent

; Instruments.
LEAD    = 0
PLUCK   = 1
BASS    = 2
KICK    = 3
HAT     = 4
SNARE   = 5
BELL    = 6
SHORT   = 7
instruments:
        .word lead, pluck, bass, kick, hat, snare, bell, short
lead:   .byte $7B, $7A, $79, $78, $78, $77, $77, $76, $76, $75, $75, $74, ENVELOPE_END
pluck:  .byte $35, $34, $33, $32, $31, $30, ENVELOPE_END
bass:   .byte $3F, ENVELOPE_END
short:  .byte $3F, $3F, $3F, $3F, $3F, $30, ENVELOPE_END
kick:   .byte $3A, $36, $32, $30, ENVELOPE_END
hat:    .byte $33, $31, $30, ENVELOPE_END
snare:  .byte $38, $36, $34, $33, $32, $31, $30, ENVELOPE_END
bell:   .byte $B9, $B8, $B7, $B6, $B6, $B5, $B5, $B4, $B4, $B3, $B3, $B3, $B2, $B2, $B2, $B1, ENVELOPE_END

; A bar of sixteenths over a chord.
.macro arp root, third, fifth
        .repeat 4
        .byte root, third, fifth, third
        .endrepeat
.endmacro

; A bar of eighths on a root.
.macro drive n
        .byte n, n, n+12, n, n, n, n+12, n
.endmacro

; Play: 8 bars of a, 8 bars of b.
play_lead:
        .byte voice(LEAD)
@loop:  .byte call(lead_a), call(lead_a2), call(lead_a), call(lead_a3)
        .byte call(lead_b), call(lead_b2), jump(@loop)
lead_a: .byte len(S*3), NA4, NC5, len(S*2), NE5, ND5, NC5, NA4, NC5
        .byte len(S*6), NE5, len(S*2), ND5, len(S*4), NC5, NA4
        .byte OP_RETURN
lead_a2: .byte len(S*3), NA4, NC5, len(S*2), NF5, NE5, NC5, NA4, NC5
        .byte len(S*6), ND5, len(S*2), NB4, len(S*4), NG4, NB4
        .byte OP_RETURN
lead_a3: .byte len(S*3), NF5, NE5, len(S*2), NC5, len(S*4), NA4, NC5
        .byte len(S*6), NB4, len(S*2), NGs4, len(S*4), NE4, NGs4
        .byte OP_RETURN
lead_b: .byte len(S*2), NC5, NA4, NF4, NA4, NC5, NF5, NE5, NC5
        .byte ND5, NB4, NG4, NB4, ND5, NG5, NF5, ND5
        .byte len(S*8), NE5, len(S*4), NC5, NA4
        .byte NOTE_REST, len(S*2), NA4, NB4, len(S*4), NC5, ND5
        .byte OP_RETURN
lead_b2: .byte len(S*3), NA5, NG5, len(S*2), NF5, len(S*4), NC5, NF5
        .byte len(S*3), NG5, NF5, len(S*2), ND5, len(S*4), NB4, ND5
        .byte len(S*6), NE5, len(S*2), NGs4, len(S*4), NB4, NE5
        .byte len(S*2), NE5, NDs5, NE5, NB4, NGs4, NB4, len(S*4), NE5
        .byte OP_RETURN

play_arp:
        .byte voice(PLUCK), len(S)
@loop:  arp NA3, NC4, NE4
        arp NA3, NC4, NE4
        arp NF3, NA3, NC4
        arp NG3, NB3, ND4
        arp NA3, NC4, NE4
        arp NC4, NE4, NG4
        arp NF3, NA3, NC4
        arp NE3, NGs3, NB3
        arp NF3, NA3, NC4
        arp NG3, NB3, ND4
        arp NA3, NC4, NE4
        arp NA3, NC4, NE4
        arp NF3, NA3, NC4
        arp NG3, NB3, ND4
        arp NE3, NGs3, NB3
        arp NE3, NGs3, NB3
        .byte jump(@loop)

play_bass:
        .byte voice(SHORT), len(S*2)
@loop:  drive NA2
        drive NA2
        drive NF2
        drive NG2
        drive NA2
        drive NC3
        drive NF2
        drive NE2
        drive NF2
        drive NG2
        drive NA2
        drive NA2
        drive NF2
        drive NG2
        drive NE2
        drive NE2
        .byte jump(@loop)

play_drum:
        .byte len(S*2)
@loop:  .byte voice(KICK), 13, voice(HAT), 3, voice(SNARE), 6, voice(HAT), 3
        .byte voice(KICK), 13, 13, voice(SNARE), 6
        .byte len(S), voice(HAT), 3, 3, len(S*2), jump(@loop)

; Title: four slow chords with a bell above.
title_lead:
        .byte voice(BELL)
@loop:  .byte len(T*6), NE5, len(T*2), NC5, len(T*4), NA4, NC5
        .byte len(T*6), ND5, len(T*2), NB4, len(T*4), NG4, NB4
        .byte len(T*6), NC5, len(T*2), NE5, len(T*4), NG5, NE5
        .byte len(T*4), ND5, NE5, NB4, NG4
        .byte jump(@loop)
title_arp:
        .byte voice(PLUCK), len(T)
@loop:  arp NF3, NC4, NE4
        arp NG3, NB3, ND4
        arp NA3, NC4, NG4
        arp NE3, NB3, NG4
        .byte jump(@loop)
title_bass:
        .byte voice(BASS), len(T*4)
@loop:  .byte NF2, NF2, NC3, NF2, NG2, NG2, ND3, NG2
        .byte NA2, NA2, NE3, NA2, NE2, NE2, NB2, NE2
        .byte jump(@loop)
title_drum:
        .byte voice(HAT), len(T*2)
@loop:  .byte 5, 3, 4, 3, jump(@loop)

; Endings: once, then silence.
win_lead:
        .byte voice(LEAD), len(S), NG4, NC5, NE5, len(S*3), NG5, len(S), NE5
        .byte len(S*2), NG5, NA5, len(S*8), NC6, jump(silent)
win_second:
        .byte voice(BELL), len(S), NE4, NG4, NC5, len(S*3), NE5, len(S), NC5
        .byte len(S*2), NE5, NF5, len(S*8), NG5, jump(silent)
win_bass:
        .byte voice(BASS), len(S*3), NC3, len(S*4), NC3, len(S*2), NG2, NF2
        .byte len(S*8), NC3, jump(silent)
lose_lead:
        .byte voice(LEAD), len(S*2), NE5, NDs5, ND5, len(S*8), NCs5, jump(silent)
lose_second:
        .byte voice(BELL), len(S*2), NG4, NFs4, NF4, len(S*8), NE4, jump(silent)
lose_bass:
        .byte voice(BASS), len(S*2), NC3, NB2, NAs2, len(S*6), NA2, jump(silent)
silent: .byte len(60), NOTE_REST, jump(silent)
