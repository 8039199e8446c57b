; The cartridge header, what runs at power on, and the three vectors.

        .import _main, nmi, copydata
        .import __STACK_START__, __STACK_SIZE__
        .importzp sp
        .export __STARTUP__ : absolute = 1      ; the C library asks for it

        .segment "HEADER"
        .byte "NES", $1A
        .byte 2                 ; 2 x 16 KiB program
        .byte 1                 ; 1 x 8 KiB tiles
        .byte 0, 0              ; mapper 0, horizontal mirroring

        .segment "STARTUP"
reset:
        sei
        cld
        ldx #$40
        stx $4017               ; no interrupt of the APU frame counter
        ldx #$FF
        txs
        inx
        stx $2000               ; no NMI, no picture, no DMC yet
        stx $2001
        stx $4010
        bit $2002
@first: bit $2002               ; the PPU needs two frames to wake up
        bpl @first
        lda #0
@clear: sta $0000,x
        sta $0100,x
        sta $0300,x
        sta $0400,x
        sta $0500,x
        sta $0600,x
        sta $0700,x
        inx
        bne @clear
        lda #$FF                ; every sprite below the picture
@hide:  sta $0200,x
        inx
        bne @hide
@second:
        bit $2002
        bpl @second
        jsr copydata
        lda #<(__STACK_START__ + __STACK_SIZE__)
        sta sp
        lda #>(__STACK_START__ + __STACK_SIZE__)
        sta sp+1
        jmp _main

irq:    rti                     ; nothing raises one

        .segment "VECTORS"
        .word nmi, reset, irq
