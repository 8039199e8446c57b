package peer

import (
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// TestLostAndFound: a browser whose network is gone is reported as such while
// its seat is held, and again when it is back, by the same path or by ICE begun
// anew.
func TestLostAndFound(t *testing.T) {
	t.Parallel() // it takes iceDisconnected twice
	l := listen(t, Config{Address: "127.0.0.1"})
	w := newWatcher()
	lost := make(chan struct{}, 9)
	events := w.events()
	events.Lost = func() { lost <- struct{}{} }
	p, err := l.Open(events, Options{})
	if err != nil {
		t.Fatal(err)
	}
	cable := peertest.NewCable(t)
	b := peertest.New(t, peertest.Options{Cable: cable})
	answer, err := p.Answer(t.Context(), b.Offer(), "")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(t.Context()) }()
	t.Cleanup(p.Close)
	b.Accept(answer)
	s := show(t, p)
	peertest.Wait(t, "the connection", w.ready)
	wantPicture(t, s, b)
	for _, restart := range []bool{false, true} {
		for len(w.ready) > 0 {
			<-w.ready
		}
		cable.Pull(true)
		peertest.Wait(t, "the loss", lost)
		cable.Pull(false)
		if restart {
			answer, err := p.Answer(t.Context(), b.Restart(), "")
			if err != nil {
				t.Fatal(err)
			}
			b.Accept(answer)
		}
		peertest.Wait(t, "the connection after a loss", w.ready)
		wantPicture(t, s, b)
		select {
		case err := <-done:
			t.Fatalf("ended with %v", err)
		default:
		}
	}
	if iceDisconnected+iceFailed != 30*time.Second {
		t.Errorf("a seat is held for %v", iceDisconnected+iceFailed)
	}
}
