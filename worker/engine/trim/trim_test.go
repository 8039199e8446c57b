package trim

import (
	"slices"
	"strings"
	"testing"
)

const head = "00400000-00500000 r-xp 00000000 fe:00 1234 /usr/bin/program\n"

func TestCleanFileSpans(t *testing.T) {
	for _, tc := range []struct {
		name, smaps string
		want        []span
	}{
		{"none", "", nil},
		{"clean text", head + "Rss: 100 kB\nPrivate_Dirty: 0 kB\nAnonymous: 0 kB\n", []span{{0x400000, 0x500000}}},
		{"file just written", head + "Private_Dirty: 4 kB\nAnonymous: 0 kB\n", []span{{0x400000, 0x500000}}},
		{"relocated", head + "Private_Dirty: 4 kB\nAnonymous: 4 kB\n", nil},
		{"swapped out", head + "Swap: 4 kB\n", nil},
		{"locked", head + "Locked: 4 kB\n", nil},
		{"writable", strings.Replace(head, "r-xp", "rw-p", 1), nil},
		{"shared", strings.Replace(head, "r-xp", "r--s", 1), nil},
		{"memfd", strings.Replace(head, "/usr/bin/program", "/memfd:x (deleted)", 1), nil},
		{"device", strings.Replace(head, "/usr/bin/program", "/dev/zero", 1), nil},
		{"anonymous", "00400000-00500000 r--p 00000000 00:00 0\n", nil},
		{"vdso", "00400000-00500000 r-xp 00000000 00:00 0 [vdso]\n", nil},
		{
			"two, one dirty", head + "Anonymous: 8 kB\n" + "00600000-00700000 r--p 00000000 fe:00 1234 /usr/bin/program\nPrivate_Dirty: 0 kB\n",
			[]span{{0x600000, 0x700000}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := cleanFileSpans(strings.NewReader(tc.smaps))
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got %v, %v; want %v", got, err, tc.want)
			}
		})
	}
}

// TestCleanFileSpansLeavesNoGarbage reads a mapping of many lines: what is made
// for each would stay in a process that collects no more.
func TestCleanFileSpansLeavesNoGarbage(t *testing.T) {
	few, many := head+"Anonymous: 0 kB\n", head+strings.Repeat("Anonymous:             0 kB\n", 1000)
	allocs := func(smaps string) float64 {
		return testing.AllocsPerRun(10, func() {
			if spans, err := cleanFileSpans(strings.NewReader(smaps)); err != nil || len(spans) != 1 {
				t.Errorf("got %v, %v", spans, err)
			}
		})
	}
	if a, b := allocs(few), allocs(many); b > a {
		t.Errorf("%v allocations for 2 lines, %v for 1001", a, b)
	}
}

func TestCleanFileSpansRefuses(t *testing.T) {
	for _, line := range []string{"xyz r-xp 0 0 1 /a\n", "5-4 r-xp 0 0 1 /a\n", "4 r-xp 0 0 1 /a\n", "10000000000000000-1 r-xp 0 0 1 /a\n"} {
		if got, err := cleanFileSpans(strings.NewReader(line)); err == nil {
			t.Errorf("%q: got %v, want an error", line, got)
		}
	}
}

// TestFilePages drops the pages of this very test program, which then goes on.
func TestFilePages(t *testing.T) {
	for range 3 {
		bytes, err := FilePages()
		if err != nil {
			t.Fatal(err)
		}
		if bytes == 0 {
			t.Error("nothing was dropped, not even this program's code")
		}
	}
	if strings.ToUpper("still here") != "STILL HERE" {
		t.Error("code is damaged")
	}
}

func FuzzCleanFileSpans(f *testing.F) {
	f.Add(head + "Private_Dirty: 0 kB\n")
	f.Add("a-b r--p")
	f.Fuzz(func(t *testing.T, smaps string) {
		spans, err := cleanFileSpans(strings.NewReader(smaps))
		for _, s := range spans {
			if err != nil || s.end <= s.start {
				t.Errorf("span %+v, error %v", s, err)
			}
		}
	})
}
