package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/room"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
	"github.com/cloudretro/cloudretro/worker/send"
)

// failing is a browser without a network whose connection ends as told.
type failing struct {
	viewer *send.Viewer
	end    chan error
}

func newFailing(t *testing.T) *failing {
	f := &failing{send.NewViewer(send.ViewerConfig{}), make(chan error, 1)}
	t.Cleanup(f.viewer.Close)
	return f
}

func (f *failing) Profile() media.Profile { return media.ProfileMain }
func (f *failing) Viewer() *send.Viewer   { return f.viewer }
func (f *failing) Control([]byte)         {}

func (f *failing) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return peer.ErrClosed
	case err := <-f.end:
		return err
	}
}

// awaiting is a session whose browser has failed for want of a cipher, in a room
// that runs.
func awaiting(t *testing.T) (*session, *call) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	w := &Worker{log: log}
	l, c := newLink(t)
	s := &session{worker: w, id: "s1", inbox: make(chan signal.Envelope, 1), ended: make(chan room.Leave, 2)}
	s.link.Store(l)
	s.room = room.New(room.Config{Logger: log, ID: signal.NewID(), Seats: 2})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.room.Run(ctx, roomtest.New(s.room.Sink(), 0)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	var err error
	if s.member, err = s.room.Reserve(t.Context(), room.Entry{Player: 2}); err != nil {
		t.Fatal(err)
	}
	f := newFailing(t)
	f.end <- peer.ErrSRTP
	if err := s.member.Attach(f, func(l room.Leave) { s.ended <- l }); err != nil {
		t.Fatal(err)
	}
	if !s.next() || s.again == nil {
		t.Fatal("no new connection is awaited")
	}
	if e := c.want(signal.TypeError, "s1"); refusal(t, e).Code != signal.CodeSRTP {
		t.Fatalf("told %s %s", e.Type, e.Data)
	}
	return s, c
}

// TestNobodyComesAgain: the place of a browser that does not come back is free
// after a while.
func TestNobodyComesAgain(t *testing.T) {
	s, c := awaiting(t)
	if p, _ := s.room.Count(); p != 1 || s.member.Player() != 2 {
		t.Fatalf("%d play, this one is player %d", p, s.member.Player())
	}
	s.again.Reset(0)
	if !s.next() {
		t.Fatal("ended without a word")
	}
	if s.next() {
		t.Fatal("goes on")
	}
	c.want(signal.TypeClosed, "s1")
	if p, v := s.room.Count(); p+v != 0 {
		t.Errorf("%d play, %d watch", p, v)
	}
}

// TestOffersWhileAwaited: what is no offer of another cipher changes nothing, and
// the place is kept for the next one.
func TestOffersWhileAwaited(t *testing.T) {
	s, c := awaiting(t)
	for _, srtp := range []string{"", "gcm"} {
		data, err := signal.Encode(signal.TypeOffer, "7", "s1", signal.Offer{SDP: "v=0", SRTP: srtp})
		if err != nil {
			t.Fatal(err)
		}
		e, err := signal.Decode(data, signal.MaxInternal)
		if err != nil {
			t.Fatal(err)
		}
		s.inbox <- e
		if !s.next() {
			t.Fatal("ended")
		}
		if r := c.want(signal.TypeError, "s1"); r.ID != "7" {
			t.Errorf("%q: told %s for %q", srtp, r.Type, r.ID)
		}
		if s.again == nil || s.member.Player() != 2 {
			t.Fatalf("%q: the place is lost", srtp)
		}
	}
	s.inbox <- signal.Envelope{Type: signal.TypeLeave, Session: "s1"}
	if s.next() {
		t.Error("goes on after it left")
	}
	if p, v := s.room.Count(); p+v != 0 {
		t.Errorf("%d play, %d watch", p, v)
	}
}

// TestInboxIsBounded: who asks faster than it is served is told so.
func TestInboxIsBounded(t *testing.T) {
	s := &session{inbox: make(chan signal.Envelope, 2)}
	candidate := signal.Envelope{Type: signal.TypeCandidate, Session: "s"}
	for i := range 4 {
		if err := s.post(candidate); (err == nil) != (i < 2) || (err != nil && signal.AsError(err).Code != signal.CodeBadRequest) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if err := s.post(signal.Envelope{Type: signal.TypeResume}); err != nil || len(s.inbox) != 2 {
		t.Errorf("a resume takes place: %v", err)
	}
}

// TestSessionsAreBounded, and none starts when the worker goes down.
func TestSessionsAreBounded(t *testing.T) {
	w := &Worker{log: slog.New(slog.DiscardHandler)}
	w.sessions.byID = map[string]*session{}
	for i := range maxSessions {
		w.sessions.byID[fmt.Sprint(i)] = nil
	}
	l, _ := newLink(t)
	start := signal.Envelope{Type: signal.TypeStart, Session: "one more"}
	if err := w.handle(l, start); signal.AsError(err).Code != signal.CodeFull {
		t.Errorf("one too many: %v", err)
	}
	if w.sessions.len() != maxSessions {
		t.Errorf("%d sessions", w.sessions.len())
	}
	w.sessions.byID = map[string]*session{}
	w.sessions.close()
	if err := w.handle(l, start); signal.AsError(err).Code != signal.CodeFull {
		t.Errorf("while going down: %v", err)
	}
	w.sessions.wait()
	if err := w.handle(l, signal.Envelope{Type: signal.TypeError, Data: []byte(`"x"`)}); err != nil {
		t.Errorf("an error of the coordinator: %v", err)
	}
}

// TestPublicAddress: a name that cannot be looked up costs its candidates only.
func TestPublicAddress(t *testing.T) {
	tests := []struct {
		name string
		ok   func([]string) bool
	}{
		{"", func(s []string) bool { return len(s) == 0 }},
		{"198.51.100.7", func(s []string) bool { return len(s) == 1 && s[0] == "198.51.100.7" }},
		{"2001:db8::1", func(s []string) bool { return len(s) == 1 && s[0] == "2001:db8::1" }},
		{"localhost", func(s []string) bool { return len(s) > 0 && (s[0] == "127.0.0.1" || s[0] == "::1") }},
		{"no name at all", func(s []string) bool { return len(s) == 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &Worker{log: slog.New(slog.DiscardHandler), cfg: Config{PublicAddress: tt.name}}
			if got := w.publicIPs(); !tt.ok(got) {
				t.Errorf("addresses %v", got)
			}
		})
	}
}

// TestTrimEnds with the worker, not after its time.
func TestTrimEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		(&Worker{log: slog.New(slog.DiscardHandler)}).trim(ctx)
		if time.Since(began) != 0 {
			t.Error("waited for its time")
		}
	})
}

// TestTrimAgain after rooms have opened, however many, and their start is over.
func TestTrimAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &Worker{log: slog.New(slog.DiscardHandler), opened: make(chan struct{}, 1)}
		var trimming sync.WaitGroup
		trimming.Go(func() { w.trim(ctx) })
		for range 2 {
			w.opened <- struct{}{}
			synctest.Wait()
			if len(w.opened) != 1 {
				t.Error("a trim before the start is over")
			}
			<-time.After(settleTime)
			synctest.Wait()
			if len(w.opened) != 0 {
				t.Error("no trim follows a room that opened")
			}
		}
		cancel()
		trimming.Wait()
	})
}

// TestNewChecksItsConfig before it opens anything.
func TestNewChecksItsConfig(t *testing.T) {
	if w, err := New(Config{}); err == nil {
		t.Error(errors.Join(errors.New("accepted"), w.Close()))
	}
}
