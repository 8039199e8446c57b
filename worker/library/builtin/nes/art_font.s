; The font, one tile for each character from space to underscore, and the large
; digits of the score. Seven rows of bits each; the shadow is derived.

; glyph r0..r6: rows in colour 3, a shadow in colour 1 one pixel right and below.
.macro glyph r0, r1, r2, r3, r4, r5, r6
        .byte r0, r1 | r0 >> 1, r2 | r1 >> 1, r3 | r2 >> 1
        .byte r4 | r3 >> 1, r5 | r4 >> 1, r6 | r5 >> 1, r6 >> 1
        .byte r0, r1, r2, r3, r4, r5, r6, 0
.endmacro

; tall r0..r6: two tiles, every row twice, colour 3 above and 2 below.
.macro tall r0, r1, r2, r3, r4, r5, r6
        .byte 0, r0, r0, r1, r1, r2, r2, r3
        .byte 0, r0, r0, r1, r1, r2, r2, r3
        .byte 0, 0, 0, 0, 0, 0, 0, 0
        .byte r3, r4, r4, r5, r5, r6, r6, 0
.endmacro

        .segment "FONT"
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $30, $30, $30, $30, $30, $00, $30  ; !
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $C6, $CC, $18, $30, $66, $C6, $00  ; %
        glyph $70, $D8, $70, $DE, $CC, $DC, $76  ; &
        glyph $30, $30, $60, $00, $00, $00, $00  ; '
        glyph $18, $30, $60, $60, $60, $30, $18  ; (
        glyph $60, $30, $18, $18, $18, $30, $60  ; )
        glyph $00, $CC, $78, $FC, $78, $CC, $00  ; *
        glyph $00, $30, $30, $FC, $30, $30, $00  ; +
        glyph $00, $00, $00, $00, $30, $30, $60  ; ,
        glyph $00, $00, $00, $FC, $00, $00, $00  ; -
        glyph $00, $00, $00, $00, $00, $30, $30  ; .
        glyph $06, $0C, $18, $30, $60, $C0, $80  ; /
        glyph $78, $CC, $DC, $FC, $EC, $CC, $78  ; 0
        glyph $30, $70, $30, $30, $30, $30, $FC  ; 1
        glyph $78, $CC, $0C, $38, $60, $C0, $FC  ; 2
        glyph $78, $CC, $0C, $38, $0C, $CC, $78  ; 3
        glyph $1C, $3C, $6C, $CC, $FC, $0C, $0C  ; 4
        glyph $FC, $C0, $F8, $0C, $0C, $CC, $78  ; 5
        glyph $78, $C0, $C0, $F8, $CC, $CC, $78  ; 6
        glyph $FC, $0C, $18, $30, $30, $30, $30  ; 7
        glyph $78, $CC, $CC, $78, $CC, $CC, $78  ; 8
        glyph $78, $CC, $CC, $7C, $0C, $0C, $78  ; 9
        glyph $00, $30, $30, $00, $30, $30, $00  ; :
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $18, $30, $60, $C0, $60, $30, $18  ; <
        glyph $00, $00, $FC, $00, $FC, $00, $00  ; =
        glyph $60, $30, $18, $0C, $18, $30, $60  ; >
        glyph $78, $CC, $0C, $18, $30, $00, $30  ; ?
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $78, $CC, $CC, $FC, $CC, $CC, $CC  ; A
        glyph $F8, $CC, $CC, $F8, $CC, $CC, $F8  ; B
        glyph $78, $CC, $C0, $C0, $C0, $CC, $78  ; C
        glyph $F0, $D8, $CC, $CC, $CC, $D8, $F0  ; D
        glyph $FC, $C0, $C0, $F8, $C0, $C0, $FC  ; E
        glyph $FC, $C0, $C0, $F8, $C0, $C0, $C0  ; F
        glyph $78, $CC, $C0, $DC, $CC, $CC, $7C  ; G
        glyph $CC, $CC, $CC, $FC, $CC, $CC, $CC  ; H
        glyph $78, $30, $30, $30, $30, $30, $78  ; I
        glyph $0C, $0C, $0C, $0C, $0C, $CC, $78  ; J
        glyph $CC, $D8, $F0, $E0, $F0, $D8, $CC  ; K
        glyph $C0, $C0, $C0, $C0, $C0, $C0, $FC  ; L
        glyph $C6, $EE, $FE, $D6, $C6, $C6, $C6  ; M
        glyph $CC, $EC, $FC, $DC, $CC, $CC, $CC  ; N
        glyph $78, $CC, $CC, $CC, $CC, $CC, $78  ; O
        glyph $F8, $CC, $CC, $F8, $C0, $C0, $C0  ; P
        glyph $78, $CC, $CC, $CC, $DC, $CC, $74  ; Q
        glyph $F8, $CC, $CC, $F8, $F0, $D8, $CC  ; R
        glyph $78, $CC, $C0, $78, $0C, $CC, $78  ; S
        glyph $FC, $30, $30, $30, $30, $30, $30  ; T
        glyph $CC, $CC, $CC, $CC, $CC, $CC, $78  ; U
        glyph $CC, $CC, $CC, $CC, $CC, $78, $30  ; V
        glyph $C6, $C6, $C6, $D6, $FE, $EE, $C6  ; W
        glyph $CC, $CC, $78, $30, $78, $CC, $CC  ; X
        glyph $CC, $CC, $CC, $78, $30, $30, $30  ; Y
        glyph $FC, $0C, $18, $30, $60, $C0, $FC  ; Z
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $00, $00, $00, $00, $00, $00, $00
        glyph $00, $00, $00, $00, $00, $00, $00

; Tiles $40 to $53: digits, upper and lower half.
        tall  $78, $CC, $DC, $FC, $EC, $CC, $78  ; 0
        tall  $30, $70, $30, $30, $30, $30, $FC  ; 1
        tall  $78, $CC, $0C, $38, $60, $C0, $FC  ; 2
        tall  $78, $CC, $0C, $38, $0C, $CC, $78  ; 3
        tall  $1C, $3C, $6C, $CC, $FC, $0C, $0C  ; 4
        tall  $FC, $C0, $F8, $0C, $0C, $CC, $78  ; 5
        tall  $78, $C0, $C0, $F8, $CC, $CC, $78  ; 6
        tall  $FC, $0C, $18, $30, $30, $30, $30  ; 7
        tall  $78, $CC, $CC, $78, $CC, $CC, $78  ; 8
        tall  $78, $CC, $CC, $7C, $0C, $0C, $78  ; 9
