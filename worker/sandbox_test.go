package worker

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// TestGapsOfTheSandbox are told once for a worker, not once for each game.
func TestGapsOfTheSandbox(t *testing.T) {
	var log lines
	p := newPlay(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	b, _ := p.start("s1")
	peertest.Wait(t, "a picture", b.Pictures)
	if got := p.Status().SandboxGaps; len(got) != 0 {
		t.Errorf("gaps %v of a whole sandbox", got)
	}
	e, info := <-p.engines, roomtest.Info()
	for _, unconfined := range []string{"landlock: not in this kernel; seccomp: refused", "landlock: not in this kernel", "", "seccomp: refused; ; limits: no"} {
		info.Unconfined = unconfined
		e.Send(engine.Event{Kind: engine.EventRestarted, Info: info})
	}
	e.Send(engine.Event{Kind: engine.EventMessage, Text: "done"})
	for !strings.Contains(peertest.Wait(t, "a message", b.Messages), "done") {
	}
	if got := p.Status().SandboxGaps; !slices.Equal(got, []string{"landlock", "seccomp", "limits"}) {
		t.Errorf("gaps %q", got)
	}
	if n := log.count("sandbox missing"); n != 2 {
		t.Errorf("told %d times, want once for each time that there was more", n)
	}
}
