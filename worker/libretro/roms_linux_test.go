//go:build cgo

package libretro_test

import "encoding/binary"

// The smallest programs that show something, made here byte by byte. Each
// changes the backdrop colour for ever.

// nes is an NROM cartridge: palette entry 0 counts up once a frame, unless A is held.
func nes() []byte {
	rom := make([]byte, 16+0x4000+0x2000)
	copy(rom, "NES\x1a\x01\x01")
	copy(rom[16:], []byte{
		0x78, 0xd8, 0xa2, 0xff, 0x9a, // sei, cld, ldx #$ff, txs
		0x2c, 0x02, 0x20, 0x10, 0xfb, // frame: bit $2002, bpl frame
		0xa9, 0x3f, 0x8d, 0x06, 0x20, // lda #$3f, sta $2006
		0xa9, 0x00, 0x8d, 0x06, 0x20, // lda #0, sta $2006
		0xa5, 0x10, 0x8d, 0x07, 0x20, // lda $10, sta $2007
		0xa9, 0x00, 0x8d, 0x06, 0x20, 0x8d, 0x06, 0x20, // lda #0, sta $2006, sta $2006
		0xa9, 0x01, 0x8d, 0x16, 0x40, 0x4a, 0x8d, 0x16, 0x40, // strobe the pad
		0xad, 0x16, 0x40, 0x4a, 0xb0, 0x02, // lda $4016, lsr, bcs +2
		0xe6, 0x10, // inc $10
		0x4c, 0x05, 0xc0, // jmp frame
	})
	for i := range 3 { // NMI, reset, IRQ
		binary.LittleEndian.PutUint16(rom[16+0x3ffa+2*i:], 0xc000)
	}
	return rom
}

// gb is a Game Boy cartridge without the maker's logo.
func gb() []byte {
	rom := make([]byte, 0x8000)
	copy(rom[0x100:], []byte{0x00, 0xc3, 0x50, 0x01}) // nop, jp $150
	copy(rom[0x134:], "TEST")
	copy(rom[0x150:], []byte{0x3c, 0xe0, 0x47, 0x18, 0xfb}) // loop: inc a, ldh (BGP), a, jr loop
	var sum byte
	for _, b := range rom[0x134:0x14d] {
		sum -= b + 1
	}
	rom[0x14d] = sum
	return rom
}

// gba is a Game Boy Advance cartridge without the maker's logo.
func gba() []byte {
	rom := make([]byte, 0x1000)
	binary.LittleEndian.PutUint32(rom, 0xea00002e) // b $c0
	copy(rom[0xa0:], "TEST")
	rom[0xb2] = 0x96
	for i, op := range []uint32{
		0xe3a00405, 0xe3a02404, 0xe3a03000, 0xe1c230b0, // mov r0, #$5000000; mov r2, #$4000000; mov r3, #0; strh r3, [r2]
		0xe2811001, 0xe1c010b0, 0xeafffffc, // loop: add r1, r1, #1; strh r1, [r0]; b loop
	} {
		binary.LittleEndian.PutUint32(rom[0xc0+4*i:], op)
	}
	return rom
}

// snes is a LoROM cartridge.
func snes() []byte {
	rom := make([]byte, 0x8000)
	copy(rom, []byte{
		0x78, 0x18, 0xfb, 0xe2, 0x20, // sei, clc, xce, sep #$20
		0xa9, 0x0f, 0x8d, 0x00, 0x21, // lda #$0f, sta INIDISP
		0x9c, 0x21, 0x21, 0x1a, 0x8d, 0x22, 0x21, 0x8d, 0x22, 0x21, // loop: stz CGADD, inc, sta CGDATA twice
		0x80, 0xf4, // bra loop
	})
	copy(rom[0x7fc0:], "TEST                 \x20\x00\x05\x00\x01\x00\x00\xff\xff\x00\x00")
	binary.LittleEndian.PutUint16(rom[0x7ffc:], 0x8000)
	return rom
}

// pce is a HuCard.
func pce() []byte {
	rom := make([]byte, 0x8000)
	copy(rom, []byte{
		0x78, 0xd4, 0xd8, 0xa9, 0xff, 0x53, 0x01, 0xa2, 0x01, // sei, csh, cld, lda #$ff, tam #1, ldx #1
		0x9c, 0x02, 0x04, 0x8e, 0x03, 0x04, // loop: stz $402, stx $403
		0x1a, 0x8d, 0x04, 0x04, 0x9c, 0x05, 0x04, // inc, sta $404, stz $405
		0x80, 0xf1, // bra loop
	})
	binary.LittleEndian.PutUint16(rom[0x1ffe:], 0xe000)
	return rom
}

// vb is a Virtual Boy cartridge that does nothing.
func vb() []byte {
	rom := make([]byte, 0x20000)
	copy(rom[len(rom)-16:], []byte{0x00, 0xa8, 0x00, 0x00}) // jr 0
	return rom
}

// ws is a WonderSwan cartridge that does nothing.
func ws() []byte {
	rom := make([]byte, 0x20000)
	copy(rom[0x10000:], []byte{0xeb, 0xfe})                       // jmp $
	copy(rom[len(rom)-16:], []byte{0xea, 0x00, 0x00, 0x00, 0xf0}) // jmp $f000:0
	return rom
}
