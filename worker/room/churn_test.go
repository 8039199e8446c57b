package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
	"github.com/cloudretro/cloudretro/worker/send"
)

// pictures is how many it has got.
func (s *screen) pictures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.frames)
}

// TestChurn: browsers that come and go in every way, all at once, leave nothing
// behind, and who stays sees every picture: on a clock of the bubble, since a busy
// machine may keep one of us waiting for longer than a queue of pictures lasts.
func TestChurn(t *testing.T) { synctest.Test(t, churn) }

func churn(t *testing.T) {
	const crowd, rounds, tick = DefaultMaxMembers - 1, 6, 4 * time.Millisecond
	stats, began := new(send.Stats), time.Now()
	r := New(Config{
		Logger: slog.New(slog.DiscardHandler), ID: roomID, Seats: 4, Grace: time.Minute, Profile: media.ProfileMain,
		Game: signal.Game{ID: "game"}, Send: send.Config{Stats: stats, Now: func() time.Duration { return time.Since(began) }},
	})
	e := roomtest.New(r.Sink(), tick)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- r.Run(ctx, e) }()

	stays := newVisit(t, r)
	var all sync.WaitGroup
	var left atomic.Int32
	for i := range crowd {
		all.Go(func() {
			for round := range rounds {
				v := newVisit(t, r)
				v.leave(i + round)
				left.Add(int32(v.lefts.Load()))
			}
		})
	}
	all.Wait()
	if got := left.Load(); got < crowd*rounds {
		t.Errorf("%d left, want %d at least", got, crowd*rounds)
	}
	for r.viewers.Load()+r.players.Load() != 1 { // Release returns before the browser is gone
		<-time.After(time.Millisecond)
	}
	if n := stats.Snapshot(); n.ViewersFallback != 1 || n.ViewersFast != 0 {
		t.Errorf("%d viewers are counted", n.ViewersFallback)
	}
	before := stays.screen.pictures()
	for stays.screen.pictures() < before+10 {
		<-time.After(tick)
	}
	if n := stays.screen.viewer.Stats(); n.FramesDroppedSlow != 0 || n.FramesDroppedWaiting > 2*uint64(keySpacing/tick) {
		t.Errorf("who stays lost pictures: %+v", n.Counts)
	}
	cancel()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if l := <-stays.left; l.Again || l.Reason == "" {
		t.Errorf("left with %+v", l)
	}
}

// visit is one browser in a real room.
type visit struct {
	*Member
	t      *testing.T
	screen *screen
	left   chan Leave
	lefts  atomic.Int32
}

func newVisit(t *testing.T, r *Room) *visit {
	v := &visit{t: t, left: make(chan Leave, 3)}
	m, err := r.Reserve(t.Context(), Entry{})
	for errors.Is(err, ErrFull) { // one that left is still on its way out
		<-time.After(time.Millisecond)
		m, err = r.Reserve(t.Context(), Entry{})
	}
	if err != nil {
		t.Errorf("reserve: %v", err)
		return v
	}
	v.Member = m
	v.come()
	return v
}

func (v *visit) come() {
	v.screen = newScreen(v.t, media.ProfileMain, v.Events().KeyFrame)
	if err := v.Attach(v.screen, func(l Leave) { v.lefts.Add(1); v.left <- l }); err != nil {
		v.t.Errorf("attach: %v", err)
	}
}

// leave goes in one of some ways and waits for the end.
func (v *visit) leave(way int) {
	v.screen.Control([]byte("{}"))
	switch way % 5 {
	case 0: // at once
		v.screen.quit <- peer.ErrLeft
	case 1: // while pictures come
		for v.screen.pictures() < 3 {
			<-time.After(time.Millisecond)
		}
		v.screen.quit <- peer.ErrLost
	case 2: // the page says so
		v.Release()
		v.Release()
	case 3: // another cipher, then it plays
		v.screen.quit <- peer.ErrSRTP
		if l := <-v.left; !l.Again {
			v.t.Errorf("left with %+v", l)
		}
		v.come()
		v.screen.quit <- peer.ErrLeft
	case 4: // another cipher, and gone
		v.screen.quit <- peer.ErrSRTP
		if l := <-v.left; !l.Again {
			v.t.Errorf("left with %+v", l)
		}
		v.Release()
	}
	if l := <-v.left; l.Again || v.Player() != 0 {
		v.t.Errorf("way %d: left with %+v, player %d", way%5, l, v.Player())
	}
}

// TestKeyFramesOfACrowd: however many ask, and however often, the encoder is
// asked now and then, and who comes in between is not forgotten.
func TestKeyFramesOfACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tick, span = 16 * time.Millisecond, 5 * time.Second
		s := newStage(t, 1, tick)
		guests := []guest{s.join(0), s.join(0), s.join(0)}
		start := time.Now()
		for time.Since(start) < span {
			time.Sleep(time.Millisecond)
			for _, g := range guests {
				g.Events().KeyFrame()
			}
		}
		late := s.join(0)
		time.Sleep(keySpacing + 2*tick)
		synctest.Wait()
		if n := late.screen.pictures(); n == 0 {
			t.Error("who came last sees nothing")
		}
		keys := s.engine.Keys()
		for i := 1; i < len(keys); i++ {
			if d := keys[i].Sub(keys[i-1]); d < keySpacing {
				t.Errorf("asked %v apart", d)
			}
		}
		least, most := int(span/(keySpacing+2*tick)), int((span+keySpacing+2*tick)/keySpacing)+2
		if len(keys) < least || len(keys) > most {
			t.Errorf("asked %d times, want %d..%d", len(keys), least, most)
		}
	})
}

// TestTheRoomIsWhatItIsToldToBe, as far as it makes sense.
func TestTheRoomIsWhatItIsToldToBe(t *testing.T) {
	game := signal.Game{ID: "g", Title: "G", System: "nes"}
	for seats, want := range map[int]int{-1: 0, 0: 0, 2: 2, 99: min(signal.MaxPlayers, engine.Ports)} {
		t.Run(fmt.Sprint(seats), func(t *testing.T) {
			r := New(Config{Logger: slog.New(slog.DiscardHandler), ID: roomID, Game: game, Seats: seats})
			if r.ID() != roomID || r.Game().ID != game.ID || r.Seats() != want || r.cfg.MaxMembers != DefaultMaxMembers {
				t.Errorf("room %q, game %v, %d seats, %d members", r.ID(), r.Game(), r.Seats(), r.cfg.MaxMembers)
			}
			if p, v := r.Count(); p != 0 || v != 0 {
				t.Errorf("%d play, %d watch", p, v)
			}
		})
	}
}

// TestReserveGivesUp: a room that does not start keeps nobody waiting for ever.
func TestReserveGivesUp(t *testing.T) {
	r := New(Config{Logger: slog.New(slog.DiscardHandler), ID: roomID, Seats: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Reserve(ctx, Entry{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Reserve = %v", err)
	}
}
