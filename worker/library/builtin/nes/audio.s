; The sound driver, run once a frame from the NMI.
;
; Music has one byte stream for each of four channels (pulse, pulse, triangle,
; noise), see song.inc. Effects borrow the second pulse and the noise channel:
; while one sounds, the music of that channel runs on unheard.

        .export audio_init, audio_tick
        .export _music_play, _music_pause, _sound_play
        .import song_table, sound_pulse, sound_noise, periods, instruments
        .include "song.inc"

APU     = $4000
REST    = NOTE_REST

        .segment "ZEROPAGE"
p:      .res 2                  ; used inside the NMI only
byte:   .res 1
fetch_hi: .res 1

        .segment "BSS"
request:    .res 1              ; song to start, 0 none
playing:    .res 1
paused:     .res 1
at_lo:      .res 4              ; next byte of the stream
at_hi:      .res 4
back_lo:    .res 4              ; where a called pattern returns to
back_hi:    .res 4
length:     .res 4              ; frames of the following notes
timer:      .res 4              ; frames left of this note
note:       .res 4
instrument: .res 4
step:       .res 4              ; position in the instrument's envelope
high:       .res 4              ; last high byte of the period written; writing
                                ; it again would click
fx_lo:      .res 2              ; 0: pulse 2, 1: noise
fx_hi:      .res 2
fx_on:      .res 2

        .segment "CODE"
audio_init:
        lda #$0F
        sta APU+$15             ; all but DMC
        lda #$08
        sta APU+1               ; no sweep
        sta APU+5
        jmp silence

; void music_play(unsigned char song): 0 stops. Takes effect in the next frame.
_music_play:
        ora #$80
        sta request
        rts

; void music_pause(unsigned char on)
_music_pause:
        sta paused
        cmp #0
        beq silence_out
silence:
        lda #$30
        sta APU+0
        sta APU+4
        sta APU+12
        lda #$80
        sta APU+8
        lda #$FF
        ldx #3
@forget:
        sta high,x
        dex
        bpl @forget
silence_out:
        rts

; void sound_play(unsigned char effect): starts its pulse and its noise part.
_sound_play:
        asl a
        tay
        ldx #0
        lda sound_pulse+1,y
        beq @noise
        stx fx_on               ; the NMI must not see half a pointer
        sta fx_hi
        lda sound_pulse,y
        sta fx_lo
        inx
        stx fx_on
        dex
@noise: lda sound_noise+1,y
        beq @done
        stx fx_on+1
        sta fx_hi+1
        lda sound_noise,y
        sta fx_lo+1
        inx
        stx fx_on+1
@done:  rts

audio_tick:
        lda request
        beq @run
        jsr start
@run:   lda playing
        beq @effects
        lda paused
        bne @effects
        ldx #3
@channel:
        jsr channel
        dex
        bpl @channel
@effects:
        ldx #1
@effect:
        lda fx_on,x
        beq @next
        jsr effect
@next:  dex
        bpl @effect
        rts

; Starts the requested song: a table of four stream addresses.
start:
        and #$7F
        sta playing
        ldx #0
        stx request
        asl a
        tay
        lda song_table,y
        sta p
        lda song_table+1,y
        sta p+1
        lda playing
        beq @quiet
        ldy #0
@stream:
        lda (p),y
        sta at_lo,x
        iny
        lda (p),y
        sta at_hi,x
        iny
        lda #1
        sta timer,x
        inx
        cpx #4
        bne @stream
@quiet: jmp silence

; Advances channel X by one frame.
channel:
        dec timer,x
        bne sound
        lda at_lo,x
        sta p
        lda at_hi,x
        sta p+1
        ldy #0
@next:  jsr take
        cmp #$80
        bcc @note
        cmp #$C0
        bcc @length
        cmp #$E0
        bcc @voice
        cmp #OP_RETURN
        beq @return
        pha
        jsr take
        sta byte
        jsr take
        sta fetch_hi
        pla
        cmp #OP_CALL
        bne @jump
        lda p
        sta back_lo,x
        lda p+1
        sta back_hi,x
@jump:  lda byte
        sta p
        lda fetch_hi
        sta p+1
        jmp @next
@return:
        lda back_lo,x
        sta p
        lda back_hi,x
        sta p+1
        jmp @next
@length:
        and #$3F
        sta length,x
        jmp @next
@voice: and #$1F
        sta instrument,x
        jmp @next
@note:  sta note,x
        lda length,x
        sta timer,x
        lda #0
        sta step,x
        lda p
        sta at_lo,x
        lda p+1
        sta at_hi,x             ; falls through

; Writes channel X's registers from its note and envelope.
sound:
        lda instrument,x
        asl a
        tay
        lda instruments,y
        sta p
        lda instruments+1,y
        sta p+1
        ldy step,x
        lda (p),y
        sta byte
        iny
        lda (p),y
        cmp #ENVELOPE_END
        beq @hold
        inc step,x
@hold:  lda note,x
        cmp #REST
        bne @write
        lda #$30
        sta byte
@write: txa
        lsr a
        bcc @free               ; channels 1 and 3 may be lent to an effect
        tay
        lda fx_on,y
        bne @done
@free:  txa
        asl a
        asl a
        tay
        lda byte
        cpx #2
        bne @volume
        and #$0F                ; a triangle is on or off
        beq @off
        lda #$FF
        bne @volume
@off:   lda #$80
@volume:
        sta APU,y
        lda note,x
        cmp #REST
        beq @done
        cpx #3
        beq @noise
        asl a
        stx byte
        tax
        lda periods,x
        sta APU+2,y
        lda periods+1,x
        ldx byte
        cmp high,x
        beq @done
        sta high,x
        sta APU+3,y
@done:  rts
@noise: sta APU+14
        lda #$08
        sta APU+15
        rts

; Next byte of the stream at p. Wants Y = 0, keeps X.
take:
        lda (p),y
        inc p
        bne @done
        inc p+1
@done:  cmp #0                  ; flags of the byte
        rts

; Plays one frame of effect X: three bytes, $FF ends.
effect:
        lda fx_lo,x
        sta p
        lda fx_hi,x
        sta p+1
        ldy #0
        lda (p),y
        cmp #$FF
        beq @end
        pha
        txa
        asl a
        asl a
        asl a                   ; 0 or 8: from pulse 2 to noise
        tax
        pla
        sta APU+4,x
        iny
        lda (p),y
        sta APU+6,x
        iny
        lda (p),y
        cpx #0
        bne @high
        cmp high+1
        beq @step
        sta high+1
@high:  sta APU+7,x
@step:  txa
        lsr a
        lsr a
        lsr a
        tax
        lda fx_lo,x
        clc
        adc #3
        sta fx_lo,x
        bcc @done
        inc fx_hi,x
@done:  rts
@end:   lda #0
        sta fx_on,x
        txa
        asl a
        asl a
        asl a
        tay
        lda #$30
        sta APU+4,y
        lda #$FF
        sta high+1
        rts
