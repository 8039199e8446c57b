package clustertest

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// Log is what was logged, which may be read while it is written. Its zero value is
// an empty one.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Logger writes to it.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Count is how often text was logged.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }

// Await waits until text is logged, for half a minute.
func (l *Log) Await(t testing.TB, text string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); l.Count(text) == 0; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("the log does not say %q:\n%s", text, l)
		}
	}
}
