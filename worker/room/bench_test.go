package room

import (
	"context"
	"log/slog"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
	"github.com/cloudretro/cloudretro/worker/send"
)

// deaf is a page that forgets what it is told.
type deaf struct {
	viewer *send.Viewer
	bytes  *int64
}

func (d deaf) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (d deaf) Profile() media.Profile        { return media.ProfileMain }
func (d deaf) Viewer() *send.Viewer          { return d.viewer }
func (d deaf) Control(b []byte)              { *d.bytes += int64(len(b)) }

// BenchmarkAnnounce tells a full room what it is like.
func BenchmarkAnnounce(b *testing.B) {
	r := New(Config{Logger: slog.New(slog.DiscardHandler), ID: roomID, Seats: 4, InviteKey: secret, Game: signal.Game{ID: "game"}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, roomtest.New(r.Sink(), 0)) }()
	var bytes int64
	for range DefaultMaxMembers {
		m, err := r.Reserve(b.Context(), Entry{Session: signal.NewID()})
		if err != nil {
			b.Fatal(err)
		}
		viewer := send.NewViewer(send.ViewerConfig{})
		defer viewer.Close()
		if err := m.Attach(deaf{viewer, &bytes}, func(Leave) {}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		_ = r.do(func() { r.stale = true; r.announce() })
	}
	_ = r.do(func() {
		bytes = 0
		r.stale = true
		r.announce()
		b.ReportMetric(float64(bytes), "B/announcement")
	})
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
