package engine

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// Bounds of what a core process writes.
const (
	maxLine    = 512 // bytes of a line; the rest is dropped
	tailLines  = 6   // kept for the error message
	linesASec  = 20  // logged on average
	linesBurst = 100 // and at once
)

// tail takes what a core process writes to its standard error, logs it line by
// line and keeps the last lines. The process is hostile: long lines are cut, too
// many are counted in dropped and not logged.
type tail struct {
	log     *slog.Logger
	dropped *atomic.Uint64
	tokens  float64
	refill  time.Time

	mu    sync.Mutex
	lines []string
}

func newTail(log *slog.Logger, dropped *atomic.Uint64) *tail {
	return &tail{log: log, dropped: dropped, tokens: linesBurst, refill: time.Now()}
}

// copy reads r until it ends.
func (t *tail) copy(r io.Reader) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		t.line(string(line))
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

func (t *tail) line(raw string) {
	text := wire.CleanText(raw, maxLine)
	if text == "" {
		return
	}
	t.mu.Lock()
	t.lines = append(t.lines, text)
	t.lines = t.lines[max(0, len(t.lines)-tailLines):]
	t.mu.Unlock()
	now := time.Now()
	t.tokens = min(linesBurst, t.tokens+now.Sub(t.refill).Seconds()*linesASec)
	t.refill = now
	if t.tokens < 1 {
		t.dropped.Add(1)
		return
	}
	t.tokens--
	t.log.Log(context.Background(), level(text), "core process", "line", text)
}

// level finds the level in a line of slog's text handler; other lines are the
// core's own.
func level(line string) slog.Level {
	var l slog.Level
	if name, ok := strings.CutPrefix(line, "level="); ok {
		name, _, _ = strings.Cut(name, " ")
		if l.UnmarshalText([]byte(name)) == nil {
			return l
		}
	}
	return slog.LevelDebug
}

// String returns the last lines, the newest last.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, " | ")
}
