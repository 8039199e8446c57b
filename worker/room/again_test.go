package room

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/peer"
)

// TestComeBackAnotherWay: a browser that only lacks a cipher keeps its place, and
// the next peer fills it.
func TestComeBackAnotherWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		g := s.join(2)
		g.leave(peer.ErrSRTP)
		if l := <-g.left; !l.Again || l.Reason == "" || g.Player() != 2 {
			t.Fatalf("left with %+v, player %d", l, g.Player())
		}
		if players, _ := s.Count(); players != 1 {
			t.Errorf("%d players", players)
		}
		second := newScreen(t, media.ProfileBaseline, g.Events().KeyFrame)
		if err := g.Attach(second, func(l Leave) { g.left <- l }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := second.said(t, "room"); len(got) != 1 || got[0]["player"] != 2.0 {
			t.Errorf("the second peer was told %v", got)
		}
		if got := s.engine.Profiles(); len(got) != 1 || got[0] != media.ProfileBaseline {
			t.Errorf("profiles %v", got)
		}
		second.quit <- peer.ErrLeft
		if l := <-g.left; l.Again {
			t.Error("it left, and should come again")
		}
		if players, _ := s.Count(); players != 0 {
			t.Errorf("%d players", players)
		}
	})
}

// TestNobodyComesBack: the place is freed by Release, and at the end of the room.
func TestNobodyComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		a, b := s.join(1), s.join(2)
		for _, g := range []guest{a, b} {
			g.leave(peer.ErrSRTP)
			<-g.left
		}
		a.Release()
		if l := <-a.left; l.Again {
			t.Errorf("released: %+v", l)
		}
		if _, ok := s.Idle(); ok {
			t.Error("idle while a place is kept")
		}
		s.cancel()
		if l := <-b.left; l.Again || l.Reason == "" {
			t.Errorf("the room ended: %+v", l)
		}
		if err := b.Attach(newScreen(t, media.ProfileMain, nil), func(Leave) {}); !errors.Is(err, ErrClosed) {
			t.Errorf("attached to a room that ended: %v", err)
		}
		if err := <-s.result; err != nil {
			t.Error(err)
		}
	})
}

// TestReleasedAsItFails: who leaves while the connection fails has left.
func TestReleasedAsItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		g := s.join(1)
		g.Release()
		g.screen.quit <- peer.ErrSRTP // beside the end of its context
		if l := <-g.left; l.Again {
			t.Errorf("left with %+v", l)
		}
	})
}
