package builtin

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestGames(t *testing.T) {
	id := regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	seen := make(map[string]bool)
	for _, g := range Games() {
		t.Run(g.ID, func(t *testing.T) {
			if !id.MatchString(g.ID) {
				t.Errorf("id %q is not of the form %v", g.ID, id)
			}
			if seen[g.ID] {
				t.Errorf("id %q is there twice", g.ID)
			}
			seen[g.ID] = true
			if g.Title == "" || g.Players < 1 {
				t.Errorf("title %q, players %d", g.Title, g.Players)
			}
			if g.System != "nes" {
				t.Errorf("system %q has no check of its image here", g.System)
			}
		})
	}
	if len(seen) == 0 {
		t.Error("no games")
	}
}

func TestGamesAreCopies(t *testing.T) {
	Games()[0].ROM[0] ^= 0xFF
	if got := Games()[0].ROM[0]; got != 'N' {
		t.Errorf("first byte is %#x after a caller changed its own copy", got)
	}
}

// The header of the iNES format, https://www.nesdev.org/wiki/INES.
func TestHeader(t *testing.T) {
	const header, program, tiles = 16, 2 * 16384, 1 * 8192
	for _, g := range Games() {
		t.Run(g.ID, func(t *testing.T) {
			if got, want := len(g.ROM), header+program+tiles; got != want {
				t.Fatalf("image of %d bytes, want %d", got, want)
			}
			want := []byte{'N', 'E', 'S', 0x1A, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			if got := g.ROM[:header]; !bytes.Equal(got, want) {
				t.Errorf("header % x, want % x", got, want)
			}
		})
	}
}

// The NMI, reset and interrupt vectors end the program and point into it.
func TestVectors(t *testing.T) {
	for _, g := range Games() {
		t.Run(g.ID, func(t *testing.T) {
			end := 16 + 2*16384
			if len(g.ROM) < end {
				t.Fatalf("image of %d bytes", len(g.ROM))
			}
			for i, name := range []string{"NMI", "reset", "interrupt"} {
				at := end - 6 + 2*i
				if to := int(g.ROM[at]) | int(g.ROM[at+1])<<8; to < 0x8000 || to >= 0xFFFA {
					t.Errorf("%s vector points to %#04x", name, to)
				}
			}
		})
	}
}

// The committed image is what its source says. Another version of the compiler
// may choose other instructions, so only the version named in build.sh counts.
func TestRebuild(t *testing.T) {
	for _, tool := range []string{"cc65", "ca65", "ld65"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT CHECKED that comet-court.nes matches its source: %v", err)
		}
	}
	version, err := exec.Command("ca65", "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("ca65 --version: %v", err)
	}
	// The release 2.19 calls itself 2.18 and is told apart by its suffix.
	if !strings.Contains(string(version), "2.19") {
		t.Skipf("NOT CHECKED that comet-court.nes matches its source: want cc65 2.19, have %s", version)
	}
	out := filepath.Join(t.TempDir(), "rom.nes")
	if msg, err := exec.Command("nes/build.sh", out).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, msg)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte(cometCourt)
	if len(got) != len(want) {
		t.Fatalf("built %d bytes, committed %d; run go generate", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("byte %#x is %#02x, committed %#02x; run go generate", i, got[i], want[i])
		}
	}
}
