package libretro

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"plain":                 "plain",
		"  line\n":              "line",
		"two\nlines\tand a tab": "two lines and a tab",
		"bell\a\x1b[31mred":     "bell[31mred",
		"bad \xff\xfe bytes":    "bad \uFFFD bytes",
		"right\u202eto left":    "rightto left",
		"\x00":                  "",
		"Pokémon 日本":            "Pokémon 日本",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("text\n")
	f.Add("\xff\x00\u202e")
	f.Fuzz(func(t *testing.T, in string) {
		got := clean(in)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("clean(%q) = %q", in, got)
		}
		if clean(got) != got {
			t.Errorf("cleaning %q again gives %q", got, clean(got))
		}
	})
}

func TestExtensions(t *testing.T) {
	for in, want := range map[string][]string{
		"":                             {},
		"nes|fds|unf":                  {"nes", "fds", "unf"},
		"GB|GBC":                       {"gb", "gbc"},
		"|a||b|":                       {"a", "b"},
		"a b":                          {"a", "b"},
		"../x|ok|a\x00":                {"ok"},
		"waytoolongtobeanextension|ok": {"ok"},
	} {
		if got := extensions(in); !slices.Equal(got, want) {
			t.Errorf("extensions(%q) = %q, want %q", in, got, want)
		}
	}
	if got := extensions(strings.Repeat("a|", 1000)); len(got) != 64 {
		t.Errorf("%d extensions", len(got))
	}
}

func TestLevel(t *testing.T) {
	for in, want := range map[int]slog.Level{
		0: slog.LevelDebug, 1: slog.LevelDebug, 2: slog.LevelWarn, 3: slog.LevelError, 4: slog.LevelWarn, -1: slog.LevelWarn,
	} {
		if got := level(in); got != want {
			t.Errorf("level(%d) = %v, want %v", in, got, want)
		}
	}
}

func TestLimiter(t *testing.T) {
	var l limiter
	now := time.Unix(1000, 0)
	count := func(tries int) (n int) {
		for range tries {
			if l.take(now) {
				n++
			}
		}
		return n
	}
	if got := count(1000); got != logBurst {
		t.Errorf("at first %d lines, want %d", got, logBurst)
	}
	now = now.Add(time.Second)
	if got := count(1000); got != logPerSec {
		t.Errorf("after a second %d lines, want %d", got, logPerSec)
	}
	now = now.Add(-time.Hour)
	if got := count(1000); got != 0 {
		t.Errorf("after a step back %d lines, want none", got)
	}
	now = now.Add(24 * time.Hour)
	if got := count(1000); got != logBurst {
		t.Errorf("after a day %d lines, want %d", got, logBurst)
	}
}

func TestPackOptions(t *testing.T) {
	got := string(packOptions(map[string]string{"b": "2", "a": "1", "": "x", "c\x00": "3", "d": "4\x00", "e": ""}))
	if want := "a\x001\x00b\x002\x00e\x00\x00"; got != want {
		t.Errorf("packed %q, want %q", got, want)
	}
}
