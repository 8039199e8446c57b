package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/worker/library/builtin"
)

// gameFor returns a game for an installed core: the built-in one, a file of the
// folder that CLOUDRETRO_TEST_GAMES names, or the smallest program that the
// system can run, which does nothing for ever.
func gameFor(t *testing.T, core string) (Spec, bool) {
	t.Helper()
	spec := Spec{Kind: KindLibretro, Core: core, SystemDir: t.TempDir(), SaveDir: t.TempDir()}
	name := strings.TrimSuffix(filepath.Base(core), "_libretro.so")
	if name == "nestopia" {
		spec.Builtin = builtin.Games()[0].ID
		return spec, true
	}
	if name == "mgba" {
		games, _ := filepath.Glob(filepath.Join(os.Getenv("CLOUDRETRO_TEST_GAMES"), "*.gba"))
		if os.Getenv("CLOUDRETRO_TEST_GAMES") != "" && len(games) > 0 {
			spec.Game = games[0]
			return spec, true
		}
	}
	makers := map[string]func() []byte{
		"gambatte": gameBoy, "mgba": gameBoy, "bsnes_mercury_balanced": superNES, "mednafen_pce_fast": pcEngine,
		"mednafen_vb": virtualBoy, "mednafen_wswan": wonderSwan,
	}
	extensions := map[string]string{
		"gambatte": "gb", "mgba": "gb", "bsnes_mercury_balanced": "sfc", "mednafen_pce_fast": "pce", "mednafen_vb": "vb", "mednafen_wswan": "ws",
	}
	if makers[name] == nil {
		return Spec{}, false
	}
	spec.Game = filepath.Join(t.TempDir(), "game."+extensions[name])
	if err := os.WriteFile(spec.Game, makers[name](), 0o600); err != nil {
		t.Fatal(err)
	}
	return spec, true
}

func gameBoy() []byte {
	rom := make([]byte, 0x8000)
	copy(rom[0x100:], []byte{0x00, 0xc3, 0x50, 0x01}) // nop, jp $150
	copy(rom[0x104:], []byte{0xce, 0xed, 0x66, 0x66}) // what mGBA knows a cartridge by
	copy(rom[0x134:], "TEST")
	copy(rom[0x150:], []byte{0x18, 0xfe}) // jr to itself
	var sum byte
	for _, b := range rom[0x134:0x14d] {
		sum -= b + 1
	}
	rom[0x14d] = sum
	return rom
}

func superNES() []byte {
	rom := make([]byte, 0x8000)
	copy(rom, []byte{0x78, 0x80, 0xfe}) // sei, bra to itself
	copy(rom[0x7fc0:], "TEST                 \x20\x00\x05\x00\x01\x00\x00\xff\xff\x00\x00")
	copy(rom[0x7ffc:], []byte{0x00, 0x80})
	return rom
}

func pcEngine() []byte {
	rom := make([]byte, 0x8000)
	copy(rom, []byte{0x78, 0x80, 0xfe}) // sei, bra to itself
	copy(rom[0x1ffe:], []byte{0x00, 0xe0})
	return rom
}

func virtualBoy() []byte {
	rom := make([]byte, 0x20000)
	copy(rom[len(rom)-16:], []byte{0x00, 0xa8}) // jr to itself
	return rom
}

func wonderSwan() []byte {
	rom := make([]byte, 0x20000)
	copy(rom[0x10000:], []byte{0xeb, 0xfe})                       // jmp to itself
	copy(rom[len(rom)-16:], []byte{0xea, 0x00, 0x00, 0x00, 0xf0}) // jmp $f000:0
	return rom
}
