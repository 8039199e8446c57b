package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// TestLeavesWithinAPicture: a browser that goes while a large picture is on its
// way, in pieces, costs the others nothing.
func TestLeavesWithinAPicture(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	stays, b, _, _ := connect(t, l, peertest.Options{})
	s := show(t, stays)
	for i := range 6 {
		leaves, other, _, done := connect(t, l, peertest.Options{})
		peertest.Wait(t, "the channel", other.Open) // before, only ICE finds out
		s.Attach(leaves.Viewer())
		data := accessUnit(true, 40_000, byte(2*i))
		if !s.Video(picture(data, true, time.Duration(i)*time.Second)) {
			t.Fatal("not taken")
		}
		want := ErrLeft
		switch i % 3 {
		case 0:
			want = ErrClosed
			leaves.Close()
		case 1:
			other.Close()
		case 2:
			want = ErrLost
			leaves.finish(ErrLost)
		}
		pic := peertest.Wait(t, "the picture", b.Pictures)
		if !bytes.Equal(pic.Data, data) || !pic.Key {
			t.Errorf("round %d: a picture of %d bytes arrives with %d", i, len(data), len(pic.Data))
		}
		err := peertest.Wait(t, "the end", done)
		if i%3 == 1 && errors.Is(err, ErrLost) {
			want = ErrLost // DTLS may have said so first
		}
		if !errors.Is(err, want) {
			t.Errorf("round %d: Run = %v, want %v", i, err, want)
		}
		s.Detach(leaves.Viewer())
		if n := leaves.Stats(); n.Open || n.SealErrors != 0 {
			t.Errorf("round %d: %+v", i, n)
		}
	}
	if n := stays.Stats(); n.Frames != 6 || n.FramesDroppedSlow != 0 {
		t.Errorf("%+v", n.Counts)
	}
}

// TestEverythingAtOnce: whatever a peer is asked for while it is being closed, it
// ends, and nothing of it is left.
func TestEverythingAtOnce(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	offer := peertest.New(t, peertest.Options{}).Offer()
	again := strings.ReplaceAll(offer, "a=ice-pwd:", "a=ice-pwd:another")
	for range 20 {
		p, err := l.Open(newWatcher().events(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, do := range []func(){
			func() { _, _ = p.Answer(ctx, offer, "") },
			func() { _, _ = p.Answer(ctx, again, "") },
			func() { _ = p.AddCandidate("candidate:1 1 udp 1 127.0.0.1 9 typ host", nil, nil) },
			func() { p.Control([]byte("x")) },
			func() { _, _, _ = p.Stats(), p.Viewer(), p.Profile() },
			func() { p.openPath() },
			func() {
				if err := p.Run(ctx); !errors.Is(err, ErrClosed) {
					t.Errorf("Run = %v", err)
				}
			},
			cancel,
			p.Close,
			p.Close,
		} {
			all.Go(do)
		}
		all.Wait()
		if p.Stats().Open {
			t.Error("open after the end")
		}
		if _, err := p.Answer(t.Context(), offer, ""); !errors.Is(err, ErrClosed) {
			t.Errorf("Answer after the end: %v", err)
		}
	}
}

// TestAnswerThatNobodyWaitsFor ends with its context.
func TestAnswerThatNobodyWaitsFor(t *testing.T) {
	offer := peertest.New(t, peertest.Options{}).Offer()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 { // it may have its answer already
		if answer, err := idle(t).Answer(ctx, offer, ""); (err == nil) != (answer != "") || (err != nil && !errors.Is(err, context.Canceled)) {
			t.Errorf("answer of %d bytes, %v", len(answer), err)
		}
	}
}

// TestControlOverflow: a page that is told too much at once loses messages; those
// that were not refused arrive, in order.
func TestControlOverflow(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, b, _, _ := connect(t, l, peertest.Options{})
	peertest.Wait(t, "the channel", b.Open)
	until(t, func() bool { p.talk.Lock(); defer p.talk.Unlock(); return p.open }, func() any { return "not open" })
	var want []int
	for i := range 200 {
		before := p.Stats().Controls
		p.Control([]byte(fmt.Sprint(i, strings.Repeat(" ", 10_000))))
		if p.Stats().Controls > before {
			want = append(want, i)
		}
	}
	n := p.Stats()
	if n.ControlsDropped == 0 || n.Controls+n.ControlsDropped != 200 || len(want) < controlBytes/10_000 {
		t.Fatalf("%d sent, %d dropped", n.Controls, n.ControlsDropped)
	}
	var got []int
	for range want {
		var i int
		if _, err := fmt.Sscan(peertest.Wait(t, "a message", b.Messages), &i); err != nil {
			t.Fatal(err)
		}
		got = append(got, i)
	}
	if !slices.Equal(got, want) {
		t.Errorf("arrived %v, want %v", got, want)
	}
}

// TestPionPanics: one browser must not end the games of all.
func TestPionPanics(t *testing.T) {
	if err := new(Peer).closeConnection(); err == nil || !strings.Contains(err.Error(), "pion: ") {
		t.Errorf("closeConnection = %v", err)
	}
}

// TestSocketsAreCounted, each for itself, in the order of the addresses.
func TestSocketsAreCounted(t *testing.T) {
	l := listen(t, Config{})
	if got := len(l.Sockets()); got != len(l.conns) || got == 0 {
		t.Fatalf("%d sockets of %d", got, len(l.conns))
	}
	p, b, _, _ := connect(t, l, peertest.Options{})
	s := show(t, p)
	wantPicture(t, s, b)
	pair, err := p.transport().ICETransport().GetSelectedCandidatePair()
	if err != nil {
		t.Fatal(err)
	}
	ours, _ := addrPort(pair.Local)
	for i, n := range l.Sockets() {
		if busy := l.Addrs()[i] == ours; busy && (n.Packets == 0 || n.Received == 0) {
			t.Errorf("%v: %+v", ours, n)
		}
	}
	if l.conn(ours) == nil {
		t.Errorf("%v is none of %v", ours, l.Addrs())
	}
}
