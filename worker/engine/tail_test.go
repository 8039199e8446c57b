package engine

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func newTestTail() (*tail, *logBuffer, *atomic.Uint64) {
	out, dropped := &logBuffer{}, &atomic.Uint64{}
	return newTail(slog.New(slog.NewTextHandler(out, nil)), dropped), out, dropped
}

func TestTailKeepsTheLastLines(t *testing.T) {
	tl, _, _ := newTestTail()
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "line %d\n\n  \n", i)
	}
	text.WriteString("no newline")
	tl.copy(iotest.HalfReader(strings.NewReader(text.String())))
	if got := tl.String(); got != "line 15 | line 16 | line 17 | line 18 | line 19 | no newline" {
		t.Errorf("kept %q", got)
	}
}

func TestTailCutsLongLines(t *testing.T) {
	tl, _, _ := newTestTail()
	tl.copy(strings.NewReader(strings.Repeat("x", 1<<20) + "\nshort\n" + strings.Repeat("y", maxLine*3)))
	lines := strings.Split(tl.String(), " | ")
	if len(lines) != 3 || len(lines[0]) != maxLine || lines[1] != "short" || len(lines[2]) != maxLine {
		t.Errorf("kept lines of %d bytes: %d, %q", len(lines), len(lines[0]), lines[1:])
	}
}

func TestTailCleansLines(t *testing.T) {
	tl, _, _ := newTestTail()
	tl.copy(strings.NewReader("a\x1b[31mred\xff\x00\n"))
	if got := tl.String(); got != "a [31mred" {
		t.Errorf("kept %q", got)
	}
}

func TestTailLimitsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tl, out, dropped := newTestTail()
		for i, want := range []int{linesBurst, linesBurst + linesASec} {
			tl.copy(strings.NewReader(strings.Repeat("level=WARN msg=x\n", 10*linesBurst)))
			logged := strings.Count(out.String(), "\n")
			if logged != want || logged+int(dropped.Load()) != 10*linesBurst*(i+1) {
				t.Errorf("%d logged, %d dropped", logged, dropped.Load())
			}
			<-time.After(time.Second) // of the bubble
		}
	})
}

func TestTailFindsTheLevel(t *testing.T) {
	for line, want := range map[string]slog.Level{
		`level=ERROR msg="x"`: slog.LevelError,
		"level=INFO":          slog.LevelInfo,
		"level=NONSENSE":      slog.LevelDebug,
		"panic: oh":           slog.LevelDebug,
		"":                    slog.LevelDebug,
	} {
		if got := level(line); got != want {
			t.Errorf("%q has level %v, want %v", line, got, want)
		}
	}
}
