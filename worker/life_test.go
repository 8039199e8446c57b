package worker

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// Ready from the first coordinator to the end of the last room, coordinators or not.
func TestReady(t *testing.T) {
	p := newPlay(t, func(c *Config) { c.DrainGrace, c.RoomGrace = time.Minute, 0 })
	wait(t, "readiness", func() bool { return p.Ready() == nil })
	b, a := p.start("s1")
	peertest.Wait(t, "the channel", b.Open)
	p.link.conn.Close()
	p.link = p.door.accept()
	if err := p.Ready(); err != nil {
		t.Errorf("not ready when a coordinator had gone: %v", err)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); p.stop() }()
	p.link.wantLoad(func(l signal.Load) bool { return l.State == signal.StateDraining })
	p.link.send(signal.TypeDrain, "", "", signal.Drain{Off: true}) // which nobody can take back now
	if r := refusal(t, p.link.reserve("t", library.TestCardID)); r.Code != signal.CodeDraining {
		t.Errorf("a new game is refused with %v", r)
	}
	friend, _ := p.join("s2", a.Room, 0) // who is invited may come
	peertest.Wait(t, "a picture of the friend", friend.Pictures)
	if err := p.Ready(); err != nil {
		t.Errorf("not ready while somebody plays: %v", err)
	}
	(<-p.engines).Fail(nil)
	<-stopped
	if err := p.Ready(); !errors.Is(err, errOver) {
		t.Errorf("after the end: %v", err)
	}
}

func TestNotReadyAlone(t *testing.T) {
	w, err := newWorker(Config{
		Coordinators: []string{"127.0.0.1:1"}, Secret: secret, MediaAddress: "127.0.0.1", Logger: slog.New(slog.DiscardHandler),
	}, startEngine)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Ready(); !errors.Is(err, errAlone) {
		t.Errorf("Ready = %v", err)
	}
}

// A lock that is not given back is noticed, whichever it is.
func TestAliveNeedsEveryLock(t *testing.T) {
	p := newPlay(t, nil)
	p.Alive()
	for name, lock := range map[string]sync.Locker{"rooms": &p.rooms.mu, "sessions": &p.sessions.mu} {
		lock.Lock()
		done := make(chan struct{})
		go func() {
			p.Alive()
			close(done)
		}()
		select {
		case <-done:
			t.Errorf("alive though the lock of %s is held", name)
		case <-time.After(60 * time.Millisecond):
		}
		lock.Unlock()
		<-done
	}
}
