package room

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/peer"
)

// slowScreen takes its time to end, as a real connection does.
type slowScreen struct {
	*screen
	ended chan struct{}
}

func (s *slowScreen) Run(ctx context.Context) error {
	<-ctx.Done()
	<-s.ended
	return peer.ErrClosed
}

// TestReload: a page that says goodbye and comes back at once finds its seat
// free, while its old connection is still being closed.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		old, err := s.Reserve(t.Context(), Entry{})
		if err != nil {
			t.Fatal(err)
		}
		screen := &slowScreen{newScreen(t, media.ProfileMain, nil), make(chan struct{})}
		left := make(chan Leave, 1)
		if err := old.Attach(screen, func(l Leave) { left <- l }); err != nil {
			t.Fatal(err)
		}
		friend := s.join(0)
		old.Release()
		again := s.join(1)
		if again.Player() != 1 || friend.Player() != 2 || old.Player() != 0 {
			t.Errorf("seats: again %d, friend %d, old %d; want 1, 2, 0", again.Player(), friend.Player(), old.Player())
		}
		close(screen.ended)
		<-left
		if p, v := s.Count(); p != 2 || v != 0 || again.Player() != 1 {
			t.Errorf("%d play, %d watch, again has seat %d", p, v, again.Player())
		}
	})
}
