; Sprites of 16 x 16 and 16 x 8 pixels, built from 8 x 8 ones.
;
; In: spr_x, spr_y (left, top), spr_tile (first of 4 or 2 tiles, row by row),
; spr_attr (palette, bit 6 flips left and right). oam_at is the next free byte
; of the sprite table; once the table is full the rest is left out.

        .export _draw_quad, _draw_half, _draw_dot, _sprites_begin, _sprites_end
        .exportzp _spr_x, _spr_y, _spr_tile, _spr_attr
        .import _oam

        .segment "ZEROPAGE"
_spr_x:    .res 1
_spr_y:    .res 1
_spr_tile: .res 1
_spr_attr: .res 1
oam_at:    .res 1
full:      .res 1

        .segment "CODE"
_sprites_begin:
        lda #0
        sta oam_at
        sta full
        rts

; Hides what is left of the table.
_sprites_end:
        lda full
        bne @done
        ldx oam_at
        lda #$FF
@hide:  sta _oam,x
        inx
        inx
        inx
        inx
        bne @hide
@done:  rts

_draw_quad:
        jsr _draw_half
        lda _spr_tile
        clc
        adc #2
        sta _spr_tile
        lda _spr_y
        clc
        adc #8
        sta _spr_y              ; falls through

_draw_half:
        ldx #0                  ; left tile first
        bit _spr_attr
        bvc @put
        inx                     ; flipped: right tile first
@put:   txa
        eor _spr_tile           ; tiles come in even pairs
        jsr put
        lda _spr_x
        clc
        adc #8
        sta _spr_x
        txa
        eor #1
        eor _spr_tile
        jsr put
        lda _spr_x
        sec
        sbc #8
        sta _spr_x
        rts

_draw_dot:
        lda _spr_tile           ; falls through

; Stores one sprite with the tile in A. Keeps X.
put:    ldy full
        bne @out
        ldy oam_at
        sta _oam+1,y
        lda _spr_y
        sec
        sbc #1                  ; sprites show one line late
        sta _oam,y
        lda _spr_attr
        sta _oam+2,y
        lda _spr_x
        sta _oam+3,y
        tya
        clc
        adc #4
        sta oam_at
        bne @out
        inc full
@out:   rts
