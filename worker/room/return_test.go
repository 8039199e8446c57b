package room

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
)

// TestTakeOver: a page that was loaded anew has seat and right at once, while
// what is left of it still closes, and nobody gets in between.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		old, err := s.Reserve(t.Context(), Entry{Session: "old"})
		if err != nil {
			t.Fatal(err)
		}
		screen := &slowScreen{newScreen(t, media.ProfileMain, nil), make(chan struct{})}
		left := make(chan Leave, 1)
		if err := old.Attach(screen, func(l Leave) { left <- l }); err != nil {
			t.Fatal(err)
		}
		friend := s.enter(Entry{Session: "friend", Player: 1})
		guest{Member: old}.press(1, 1)
		again := s.enter(Entry{Session: "new", Replaces: "old"})
		if again.Status() != (Status{Player: 1, Host: true}) || old.Status() != (Status{}) || friend.Player() != 0 {
			t.Fatalf("new %+v, old %+v, friend %+v", again.Status(), old.Status(), friend.Status())
		}
		if pads := s.engine.Pads(); pads[len(pads)-1] != (roomtest.Press{}) {
			t.Errorf("the key is still held: %v", pads)
		}
		guest{Member: old}.press(2, 2)
		again.press(1, 4)
		if pads := s.engine.Pads(); pads[len(pads)-1] != (roomtest.Press{Pad: engine.Pad{Buttons: 4}}) {
			t.Errorf("pads %v", pads)
		}
		v := friend.sees(t)
		if len(v.Members) != 2 || v.Members[0].ID != again.id(t) || v.Members[0].Name != "Guest 1" || v.Players != 1 || v.Viewers != 1 {
			t.Errorf("the friend sees %+v", v)
		}
		close(screen.ended)
		if l := <-left; l.Reason == "" || l.Again || l.Code != signal.CodeElsewhere {
			t.Errorf("left with %+v", l)
		}
		if again.Player() != 1 {
			t.Error("the seat went with the old one")
		}
		if code := s.refused(Entry{Session: "x", Replaces: "old", Player: 1}); code != "" || again.Player() != 1 {
			t.Errorf("a session that is none any more: %q", code)
		}
	})
}

// TestTakeOverFails: the seat is kept for another try.
func TestTakeOverFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		host := s.enter(Entry{Session: "a"})
		m, err := s.Reserve(t.Context(), Entry{Session: "b", Replaces: "a"})
		if err != nil {
			t.Fatal(err)
		}
		<-host.left
		other, err := s.Reserve(t.Context(), Entry{Session: "c", Replaces: "b"}) // reloaded once more
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Attach(newScreen(t, media.ProfileMain, nil), func(Leave) {}); err == nil || errors.Is(err, ErrClosed) {
			t.Errorf("attached in place of who came later: %v", err)
		}
		other.Release() // its browser could not be connected
		friend := s.enter(Entry{Session: "friend"})
		again := s.enter(Entry{Session: "d", Replaces: "c"})
		if friend.Player() != 0 || again.Status() != (Status{Player: 1, Host: true}) {
			t.Errorf("friend %+v, again %+v", friend.Status(), again.Status())
		}
	})
}

// TestReturnAfterLeave: seat and right wait for a moment, for their owner and
// for whoever asks for that very seat.
func TestReturnAfterLeave(t *testing.T) {
	tests := []struct {
		name  string
		away  time.Duration
		takes bool // a friend takes the seat meanwhile
		want  Status
	}{
		{"reload", time.Second, false, Status{Player: 1, Host: true}},
		{"the friend takes the pad", time.Second, true, Status{Player: 2, Host: true}},
		{"a slow reload", 2 * kept, false, Status{Player: 1, Host: true}},
		{"too late", hostKept, false, Status{Player: 1}},
		{"too late, taken", hostKept, true, Status{Player: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, 2, 0)
				host, friend := s.enter(Entry{Session: "host"}), s.enter(Entry{Session: "friend"})
				if _, err := s.Invite(signal.Invite{Room: roomID, Watch: true}); err != nil {
					t.Fatal(err) // the door is closed
				}
				host.Release()
				synctest.Wait()
				if !friend.Status().Host {
					t.Error("nobody is the host")
				}
				if tt.takes {
					friend.Events().Control([]byte(`{"type":"seat","player":1}`))
					if friend.Player() != 1 {
						t.Error("the friend must wait for the pad")
					}
				}
				time.Sleep(tt.away)
				again := s.enter(Entry{Session: "again", Replaces: "host"})
				if again.Status() != tt.want || friend.Status().Host == tt.want.Host {
					t.Errorf("again %+v, want %+v; friend %+v", again.Status(), tt.want, friend.Status())
				}
			})
		})
	}
}

// TestHope: who comes while the only free seat is kept gets it when its owner
// does not come back, the first first.
func TestHope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		host := s.enter(Entry{Session: "host"})
		viewer := s.enter(Entry{Session: "viewer"}) // never asked to play
		host.leave(peer.ErrLeft)
		time.Sleep(kept / 2)
		first, second := s.enter(Entry{Session: "first"}), s.enter(Entry{Session: "second"})
		if first.Player() != 0 || second.Player() != 0 {
			t.Error("the kept seat is given away")
		}
		time.Sleep(kept)
		synctest.Wait()
		if first.Player() != 1 || second.Player() != 0 || viewer.Player() != 0 || first.sees(t).Player != 1 {
			t.Errorf("players %d, %d, %d", first.Player(), second.Player(), viewer.Player())
		}
		first.leave(peer.ErrLost) // nothing is kept
		time.Sleep(kept)
		if second.Player() != 0 {
			t.Error("a viewer is made a player long after")
		}
	})
}

// TestReplacesNothing: a session that the room does not know, or that is
// somebody else's, is nobody.
func TestReplacesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host := s.enter(Entry{Session: "host", User: &signal.User{ID: "alice"}})
		if g := s.enter(Entry{Session: "a", Replaces: "unknown"}); g.Status() != (Status{Player: 2}) {
			t.Errorf("%+v", g.Status())
		}
		if g := s.enter(Entry{Session: "b", Replaces: "host", User: &signal.User{ID: "bob"}}); g.Player() != 0 || !host.Status().Host {
			t.Errorf("another user took the host's place: %+v", g.Status())
		}
		if g := s.enter(Entry{Session: "c", Replaces: "host"}); !g.Status().Host || g.User().ID != "alice" {
			t.Errorf("the host without its cookie: %+v", g.Status())
		}
		host.leave(peer.ErrLeft)
	})
}

// TestAway: the place is held and shown as such, what was held is let go.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host, g := s.enter(Entry{Session: "a"}), s.enter(Entry{Session: "b"})
		g.press(1, 1)
		g.Events().Lost()
		g.Events().Lost()
		if pads := s.engine.Pads(); len(pads) != 2 || pads[1] != (roomtest.Press{Port: 1}) {
			t.Errorf("pads %v", pads)
		}
		if v := host.sees(t); !v.Members[1].Away || v.Members[1].Player != 2 || !g.Status().Away {
			t.Errorf("members %+v", v.Members)
		}
		if e := host.say(t, `{"type":"seat","player":2}`, "error"); e["code"] != "full" {
			t.Errorf("the seat of who is away: %v", e)
		}
		g.Events().Ready()
		if v := host.sees(t); v.Members[1].Away {
			t.Errorf("members %+v", v.Members)
		}
		g.press(2, 1)
		if n := len(pressed(s.engine.Pads(), 1)); n != 2 {
			t.Errorf("pads %v", s.engine.Pads())
		}
		host.Events().Lost()
		g.leave(peer.ErrLost)
		host.leave(peer.ErrLost)
		host.Events().Ready() // too late: harmless
	})
}

// TestPastIsBounded, and who was forgotten is somebody new.
func TestPastIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		s.enter(Entry{Session: "host"})
		for range maxPast + 10 {
			s.enter(Entry{Session: signal.NewID()}).leave(peer.ErrLeft)
		}
		if err := s.do(func() {
			if len(s.past) != maxPast {
				t.Errorf("%d are remembered", len(s.past))
			}
			for range maxBanned + 10 {
				s.ban("x")
			}
			if len(s.banned) != maxBanned {
				t.Errorf("%d are kept out", len(s.banned))
			}
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNewsAreCoalesced: however much happens, pages are told now and then, and
// the last time of what is true.
func TestNewsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host, g := s.enter(Entry{Session: "a"}), s.enter(Entry{Session: "b"})
		time.Sleep(time.Second)
		host.screen.said(t, "")
		if err := s.do(func() { s.changed() }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(host.screen.said(t, "room")); n != 1 {
			t.Errorf("after a pause: %d messages at once", n)
		}
		for i := range 1000 {
			if err := s.do(func() { _ = s.change(g.Member, 2*(i%2)) }); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * tellEach)
		synctest.Wait()
		last := host.sees(t)
		if n := len(host.screen.said(t, "room")); n > 2 {
			t.Errorf("%d messages of 1000 changes at once", n)
		}
		if last.Players != 2 || last.Members[1].Player != 2 {
			t.Errorf("the last one says %+v", last)
		}
	})
}

// TestCrowdedOut: members on their way out count, too, at some point.
func TestCrowdedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		stuck := make(chan struct{})
		for range 2 * s.cfg.MaxMembers {
			m, err := s.Reserve(t.Context(), Entry{Session: signal.NewID()})
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Attach(&slowScreen{newScreen(t, media.ProfileMain, nil), stuck}, func(Leave) {}); err != nil {
				t.Fatal(err)
			}
			m.Release()
		}
		if _, err := s.Reserve(t.Context(), Entry{Session: "x"}); !errors.Is(err, ErrFull) {
			t.Errorf("Reserve = %v", err)
		}
		close(stuck)
		synctest.Wait()
		s.enter(Entry{Session: "x"})
	})
}
