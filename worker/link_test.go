package worker

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	said chan struct{}
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mark(l.said)
	return l.b.Write(p)
}

func (l *logBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(peertest.Patience)
	for {
		l.mu.Lock()
		said := l.b.String()
		l.mu.Unlock()
		if strings.Contains(said, text) {
			return
		}
		select {
		case <-l.said:
		case <-timeout:
			t.Fatalf("the log never says %q:\n%s", text, said)
		}
	}
}

func TestWrongSecretIsLogged(t *testing.T) {
	d := newDoor(t)
	log := &logBuffer{said: make(chan struct{}, 1)}
	w, err := newWorker(Config{
		Coordinators: []string{d.address(), "127.0.0.1:1"}, Secret: "another secret", MediaAddress: "127.0.0.1",
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}, startEngine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	log.waitFor(t, "wrong secret")
	log.waitFor(t, "connection refused")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestLibraryIsAnnounced(t *testing.T) {
	dir := t.TempDir()
	core := filepath.Join(dir, "x_libretro.so")
	if err := os.WriteFile(core, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	games := filepath.Join(dir, "games")
	if err := os.Mkdir(games, 0o755); err != nil {
		t.Fatal(err)
	}
	p := newPlay(t, func(c *Config) {
		c.LibraryPath, c.Rescan = games, 100*time.Millisecond
		c.Cores = []library.Core{{System: "ws", Lib: core, Extensions: []string{"ws"}, Players: 1, Options: map[string]string{"fail": "yes"}}}
	})
	if err := os.WriteFile(filepath.Join(games, "New.ws"), make([]byte, 1024), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := signal.Read[signal.Library](p.link.want(signal.TypeLibrary, ""))
	if err != nil || len(l.Put) != 1 || l.Put[0].ID != "new" || l.Base != p.link.register.Library || l.More {
		t.Fatalf("library %+v, %v", l, err)
	}
	p.link.send(signal.TypeStart, "1", "s", signal.Start{
		Game: "new", SDP: peertest.New(t, peertest.Options{}).Offer(), Ticket: p.ticket("new"),
	})
	if r := refusal(t, p.link.want(signal.TypeError, "s")); r.Code != signal.CodeFailed || !strings.Contains(r.Message, "no such core") {
		t.Errorf("a game that cannot be played: %v", r)
	}
}

func TestBuiltinGamesAreOffered(t *testing.T) {
	dir := t.TempDir()
	core := filepath.Join(dir, "x_libretro.so")
	if err := os.WriteFile(core, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p := newPlay(t, func(c *Config) { c.Cores = []library.Core{{System: "nes", Lib: core, Players: 2}} })
	games := p.library.Games()
	if p.link.register.Library != signal.LibraryDigest(games) {
		t.Error("another library is announced")
	}
	if len(games) < 2 {
		t.Fatalf("games %v", games)
	}
	for _, g := range games {
		if err := g.Validate(); err != nil {
			t.Error(err)
		}
	}
	b := builtins()[0]
	if title, ok := p.library.Find(b.Game.ID); !ok || p.spec(title).Builtin != b.ID || p.spec(title).Core != core {
		t.Errorf("title %+v", title)
	}
}
