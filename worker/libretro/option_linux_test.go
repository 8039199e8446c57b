//go:build cgo

package libretro_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/worker/libretro"
	"github.com/cloudretro/cloudretro/worker/libretro/libretrotest"
)

// The core frees or overwrites its table right after each call.
func TestOptions(t *testing.T) {
	for _, how := range []string{"v0", "v1", "v1intl", "v2", "v2intl"} {
		for _, tt := range []struct {
			name string
			set  map[string]string
			tint string
			blue byte // of the background
			warn string
		}{
			{"default", nil, "none", 0x20, ""},
			{"set", map[string]string{"testcore_tint": "blue"}, "blue", 0x80, ""},
			{"not offered", map[string]string{"testcore_tint": "green"}, "none", 0x20, "does not offer this value"},
			{"unknown", map[string]string{"testcore_tone": "high"}, "none", 0x20, "does not know this option"},
			{"impossible", map[string]string{"a\x00b": "x", "": "y", "testcore_tint": "blue\x00"}, "none", 0x20, "does not"},
		} {
			t.Run(how+" "+tt.name, func(t *testing.T) {
				var text bytes.Buffer
				core := open(t, libretro.Config{Options: tt.set, Logger: slog.New(slog.NewTextHandler(&text, nil))})
				if err := core.Load(libretro.Game{Data: libretrotest.Script("options="+how, "size=64x64")}); err != nil {
					t.Fatal(err)
				}
				if _, _, b := libretrotest.Pixel(run(t, core, 1).Picture, 2, 60); b != tt.blue {
					t.Errorf("background has blue %#x, want %#x", b, tt.blue)
				}
				want := []libretro.Option{
					{Key: "testcore_tint", Value: tt.tint, Default: "none", Values: []string{"none", "red", "blue"}},
					{Key: "testcore_size", Value: "16", Default: "16", Values: []string{"8", "16", "32"}},
				}
				got := core.Options()
				for i := range got {
					if how == "v0" && i == 1 { // v0 has no default: it is the first value
						want[1].Values = []string{"16", "8", "32"}
					}
				}
				if !slices.EqualFunc(got, want, func(a, b libretro.Option) bool {
					return a.Key == b.Key && a.Value == b.Value && a.Default == b.Default && slices.Equal(a.Values, b.Values)
				}) {
					t.Errorf("Options = %+v, want %+v", got, want)
				}
				if warned := strings.Contains(text.String(), "level=WARN"); warned != (tt.warn != "") || !strings.Contains(text.String(), tt.warn) {
					t.Errorf("log lacks or has a warning, want %q:\n%s", tt.warn, text.String())
				}
			})
		}
	}
}

// parseOption is what libretro.h says of "Description; first|second".
func parseOption(text string) []string {
	if _, after, ok := strings.Cut(text, ";"); ok {
		text = after
	}
	text = strings.TrimLeft(text, " ")
	if text == "" {
		return nil
	}
	return strings.Split(text, "|")
}

// FuzzOption gives any text to SET_VARIABLES and compares with a reference.
func FuzzOption(f *testing.F) {
	f.Add("key", "Speed; slow|fast", "fast")
	f.Add("key", "no semicolon", "x")
	f.Add("key", "; ", "")
	f.Add("key", ";;a||b|", "")
	f.Add("key", "x; |", "|")
	f.Add(strings.Repeat("k", 63), "x; "+strings.Repeat("v", 900), "v")
	f.Add("key", "x; "+strings.Repeat("a|", 400)+"b", "b")
	f.Fuzz(func(t *testing.T, key, text, want string) {
		if key == "" || len(key) > 63 || len(text) > 1000 || strings.HasPrefix(key, "testcore_") ||
			strings.ContainsAny(key, ":\r\n\x00") || strings.ContainsAny(text, "\r\n\x00") || strings.ContainsAny(want, "\x00") || len(want) > 500 {
			t.Skip("the script cannot carry it")
		}
		core := open(t, libretro.Config{Options: map[string]string{key: want}})
		if err := core.Load(libretro.Game{Data: libretrotest.Script("variable=" + key + ":" + text)}); err != nil {
			t.Fatal(err)
		}
		got := core.Options()[0]
		values := parseOption(text)
		if got.Key != key || !slices.Equal(got.Values, values) {
			t.Fatalf("option %q with %q, want %q with %q", got.Key, got.Values, key, values)
		}
		first := ""
		if len(values) > 0 {
			first = values[0][:min(len(values[0]), 511)]
		}
		value := first
		if len(values) == 0 || slices.Contains(values, want) {
			value = want
		}
		if got.Default != first || got.Value != value {
			t.Errorf("default %q value %q, want %q and %q", got.Default, got.Value, first, value)
		}
	})
}
