package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Bounds of what libraries may log.
const (
	seldomPeriod = time.Minute // of one cause
	maxCauses    = 256         // that are remembered
)

// seldom is a handler that hands on a record from level info up at most once in a
// minute for each cause: client-go complains in a loop while an API server is
// away. A cause is the message with its attributes, but for numbers, which differ
// each time (ports, times); below level warn it is the message alone, as each of
// many informers says there that its watch has ended. Its methods may be called
// concurrently.
type seldom struct {
	slog.Handler
	said *causes
}

// causes are when each was logged last, and how often it was not.
type causes struct {
	mu  sync.Mutex
	all map[string]*cause
}

type cause struct {
	last time.Time
	kept int
}

func newSeldom(to slog.Handler) slog.Handler {
	return seldom{to, &causes{all: map[string]*cause{}}}
}

// Handle implements slog.Handler.
func (s seldom) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return s.Handler.Handle(ctx, r)
	}
	kept, ok := s.said.may(causeOf(r), r.Time)
	if !ok {
		return nil
	}
	if kept > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("before", kept)) // as often in the last while
	}
	return s.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (s seldom) WithAttrs(attrs []slog.Attr) slog.Handler {
	return seldom{s.Handler.WithAttrs(attrs), s.said}
}

// WithGroup implements slog.Handler.
func (s seldom) WithGroup(name string) slog.Handler {
	return seldom{s.Handler.WithGroup(name), s.said}
}

// causeOf is what of a record is the same each time.
func causeOf(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	if r.Level < slog.LevelWarn {
		return b.String()
	}
	r.Attrs(func(a slog.Attr) bool {
		b.WriteByte(' ')
		b.WriteString(a.Value.String())
		return true
	})
	return strings.Map(func(c rune) rune {
		if unicode.IsDigit(c) {
			return -1
		}
		return c
	}, b.String())
}

// may says whether a cause is logged at a time, and how often it was not before.
func (c *causes) may(text string, now time.Time) (kept int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.all[text]
	if one == nil {
		if len(c.all) >= maxCauses {
			clear(c.all) // rather said once more than remembered for ever
		}
		one = &cause{last: now.Add(-seldomPeriod)}
		c.all[text] = one
	}
	if now.Sub(one.last) < seldomPeriod {
		one.kept++
		return 0, false
	}
	kept = one.kept
	one.last, one.kept = now, 0
	return kept, true
}
