; One video frame: the NMI hands sprites, palette and tile updates to the PPU,
; then the sound driver runs. The main program only fills buffers and calls
; wait_frame; while the picture is on it never touches the PPU itself.

        .export nmi
        .export _wait_frame, _screen_off, _screen_on, _read_pads
        .export _oam, _palette, _palette_dirty, _updates, _updates_len
        .exportzp _frames, _scroll_x, _pad, _pad_new
        .import audio_tick, audio_init
        .export _console_init

PPUCTRL   = $2000
PPUMASK   = $2001
PPUSTATUS = $2002
OAMADDR   = $2003
PPUSCROLL = $2005
PPUADDR   = $2006
PPUDATA   = $2007
OAMDMA    = $4014
JOY1      = $4016

CTRL      = $88                 ; NMI on, backdrop tiles at $0000, sprites at $1000
SHOW      = $1E                 ; backdrop and sprites, no cut at the left edge

        .segment "OAM"
_oam:   .res 256

        .segment "ZEROPAGE"
_frames:   .res 1               ; counts frames, wraps
_scroll_x: .res 1               ; shakes the picture
_pad:      .res 2               ; buttons held: A B select start up down left right
_pad_new:  .res 2               ; of those, pressed since the last frame
ready:     .res 1               ; the main program waits for the NMI
mask:      .res 1
pad_first: .res 2
pad_old:   .res 2

        .segment "BSS"
_palette:       .res 32
_palette_dirty: .res 1
_updates:       .res 80         ; records: address high, low, length, bytes; $FF ends
_updates_len:   .res 1

        .segment "CODE"
nmi:
        pha
        txa
        pha
        tya
        pha
        lda ready
        bne @show
        jmp @sound              ; the program is late: keep the old picture whole
@show:  lda #0
        sta OAMADDR
        lda #>_oam
        sta OAMDMA
        bit PPUSTATUS
        lda _palette_dirty
        beq @tiles
        lda #$3F
        sta PPUADDR
        ldx #0
        stx PPUADDR
@color: lda _palette,x
        sta PPUDATA
        lda _palette+1,x
        sta PPUDATA
        lda _palette+2,x
        sta PPUDATA
        lda _palette+3,x
        sta PPUDATA
        inx
        inx
        inx
        inx
        cpx #32
        bne @color
        lda #0
        sta _palette_dirty
@tiles: ldx #0
@record:
        lda _updates,x
        bmi @scroll
        sta PPUADDR
        lda _updates+1,x
        sta PPUADDR
        ldy _updates+2,x
        inx
        inx
        inx
@byte:  lda _updates,x
        sta PPUDATA
        inx
        dey
        bne @byte
        beq @record
@scroll:
        lda #$FF
        sta _updates
        lda #0
        sta _updates_len
        lda #CTRL
        sta PPUCTRL
        lda _scroll_x
        sta PPUSCROLL
        lda #0
        sta PPUSCROLL
        lda mask
        sta PPUMASK
        lda #0
        sta ready
@sound: inc _frames
        jsr audio_tick
        pla
        tay
        pla
        tax
        pla
        rti

; void console_init(void): sound registers, empty buffers, then NMIs.
_console_init:
        jsr audio_init
        lda #$FF
        sta _updates
        lda #CTRL
        sta PPUCTRL
        rts

; void wait_frame(void): shows what the buffers hold and returns after it is shown.
_wait_frame:
        lda #1
        sta ready
@wait:  lda ready
        bne @wait
        jmp _read_pads

; void screen_off(void): after it the PPU may be written directly.
_screen_off:
        lda #0
        sta mask
        jmp _wait_frame

; void screen_on(void)
_screen_on:
        lda #SHOW
        sta mask
        jmp _wait_frame

; void read_pads(void): reads until two readings agree, as a DMC sample could
; disturb one and a worn pad bounces.
_read_pads:
        ldx #1
@keep:  lda _pad,x
        sta pad_old,x
        dex
        bpl @keep
        ldy #4                  ; give up after some tries
        jsr poll
@again: lda _pad
        sta pad_first
        lda _pad+1
        sta pad_first+1
        jsr poll
        lda _pad
        cmp pad_first
        bne @differ
        lda _pad+1
        cmp pad_first+1
        beq @agreed
@differ:
        dey
        bne @again
@agreed:
        ldx #1
@new:   lda pad_old,x
        eor #$FF
        and _pad,x
        sta _pad_new,x
        dex
        bpl @new
        rts

poll:   lda #1
        sta JOY1
        sta _pad+1              ; the 1 falls out after eight bits
        lsr a
        sta JOY1
@bit:   lda JOY1
        and #3                  ; bit 1 is the expansion port's pad
        cmp #1
        rol _pad
        lda JOY1+1
        and #3
        cmp #1
        rol _pad+1
        bcc @bit
        rts
