package room

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/peer"
)

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		idle := func() bool { _, ok := s.Idle(); return ok }
		if idle() {
			t.Error("idle before anybody came")
		}
		s.token(signal.Invite{}) // an admin is early
		if idle() {
			t.Error("idle because somebody is invited")
		}
		g := s.join(0)
		if idle() {
			t.Error("idle with a member")
		}
		g.leave(peer.ErrLeft)
		synctest.Wait()
		if since, ok := s.Idle(); !ok || !since.IsZero() {
			t.Errorf("nobody was connected, but it is idle since %v, %v", since, ok)
		}
		g = s.join(0)
		if idle() {
			t.Error("idle with somebody back")
		}
		g.Events().Ready()
		time.Sleep(time.Second)
		left := time.Now()
		g.leave(peer.ErrLeft)
		synctest.Wait()
		if since, ok := s.Idle(); !ok || !since.Equal(left) {
			t.Errorf("idle since %v, %v; it was left at %v", since, ok, left)
		}
	})
}

// TestTheCauseIsTold: who comes too late learns why the room ended.
func TestTheCauseIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		pending, err := s.Reserve(t.Context(), Entry{})
		if err != nil {
			t.Fatal(err)
		}
		s.engine.Fail(errors.New("the core finds no game in it"))
		if err := <-s.result; err == nil {
			t.Error("Run hides the error")
		}
		_, late := s.Reserve(t.Context(), Entry{})
		for what, err := range map[string]error{"Reserve": late, "Attach": pending.Attach(newScreen(t, 0, nil), nil)} {
			var e *signal.Error
			if !errors.Is(err, ErrClosed) || !errors.As(err, &e) || e.Code != signal.CodeFailed || !strings.Contains(e.Message, "no game in it") {
				t.Errorf("%s = %v", what, err)
			}
		}
	})
}
