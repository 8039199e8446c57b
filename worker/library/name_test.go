package library

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestTitleAndSlug(t *testing.T) {
	tests := []struct{ file, title, slug string }{
		{"Super_Game_2.nes", "Super Game 2", "super-game-2"},
		{"x/Legend of X, The - Part 2 (U) (Rev A) [b1].nes", "The Legend of X - Part 2", "the-legend-of-x-part-2"},
		{"Pirate's Gold.gb", "Pirate's Gold", "pirates-gold"},
		{"(USA).nes", "(USA)", "usa"},
		{"日本.nes", "日本", "game"},
		{"--.nes", "--", "game"},
		{"a\tb\x00c.nes", "a b c", "a-b-c"},
	}
	for _, tt := range tests {
		if got := titleOf(tt.file); got != tt.title || slug(got) != tt.slug {
			t.Errorf("%q: %q %q, want %q %q", tt.file, got, slug(got), tt.title, tt.slug)
		}
	}
}

func FuzzTitle(f *testing.F) {
	f.Add("a/Super Game (U).nes")
	f.Add("\xff\xfe.gb")
	f.Add(strings.Repeat("é", 200))
	f.Fuzz(func(t *testing.T, rel string) {
		title := titleOf(rel)
		for _, id := range []string{slug(title), distinct(slug(title), rel)} {
			g := signal.Game{ID: id, Title: title, System: "nes"}
			if err := g.Validate(); err != nil {
				t.Errorf("%q: %+v: %v", rel, g, err)
			}
		}
	})
}

func FuzzCheckHead(f *testing.F) {
	for ext, data := range map[string][]byte{"nes": nesFile(), "gb": gbFile(), "gba": gbaFile(), "sfc": {1}} {
		f.Add(data[:min(len(data), headSize)], int64(len(data)), ext)
	}
	f.Fuzz(func(_ *testing.T, head []byte, size int64, ext string) {
		checkHead(head[:min(len(head), headSize)], size, ext)
	})
}

func TestCheckHead(t *testing.T) {
	big := make([]byte, headSize)
	tests := []struct {
		ext  string
		head []byte
		size int64
		ok   bool
	}{
		{"nes", nesFile()[:headSize], 40976, true},
		{"nes", big, 40976, false},
		{"fds", []byte("FDS\x1a\x01\x00"), 65516, true},
		{"fds", []byte("\x01*NINTENDO-HVC*\x00"), 65500, true},
		{"unif", []byte("UNIF\x07\x00"), 70000, true},
		{"unf", big, 70000, false},
		{"gb", gbFile()[:headSize], 32 << 10, true},
		{"gbc", big, 32 << 10, false},
		{"gb", big[:10], 10, false},
		{"gba", gbaFile()[:headSize], 1 << 10, true},
		{"gba", big, 1 << 10, false},
		{"gba", big[:10], 10, false},
		{"sfc", big, 1 << 20, true},
		{"smc", big, 1<<20 + 512, true},
		{"smc", big, 1<<20 + 3, false},
		{"sfc", big, 100, false},
		{"pce", big, 8 << 10, true},
		{"pce", big, 100, false},
		{"ws", big, 1 << 16, true},
		{"ws", []byte("\x7fELF"), 1 << 16, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.ext, tt.size), func(t *testing.T) {
			if reason := checkHead(tt.head, tt.size, tt.ext); (reason == "") != tt.ok {
				t.Errorf("reason %q", reason)
			}
		})
	}
}

// TestRealGame looks at games that the tester brings.
