package worker

import (
	"context"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// found is a source of coordinators whose sets a test says.
type found chan []string

var _ discovery.Source = found(nil)

// Watch implements discovery.Source.
func (f found) Watch(ctx context.Context, update func([]discovery.Endpoint)) {
	for {
		select {
		case addresses := <-f:
			var set []discovery.Endpoint
			for _, a := range addresses {
				set = append(set, discovery.Endpoint{URL: "ws://" + a})
			}
			update(set)
		case <-ctx.Done():
			return
		}
	}
}

// TestSources: coordinators that nobody wrote down are joined as they are found,
// once each, and one that is no longer listed keeps its link.
func TestSources(t *testing.T) {
	one, source := newDoor(t), make(found)
	p := newPlay(t, func(c *Config) { c.Sources = []discovery.Source{source} })
	source <- []string{p.door.address(), one.address()}
	link := one.accept()
	wait(t, "both to be joined", func() bool { return p.Status().Coordinators == 2 })
	source <- nil
	source <- nil // the one before has been taken
	link.send(signal.TypeOffer, "1", "nobody", signal.Offer{SDP: "v=0"})
	link.want(signal.TypeError, "nobody")
	if n := p.Status().Coordinators; n != 2 {
		t.Errorf("joined %d coordinators, want 2", n)
	}
}

// TestSourceAlone: no address need be written down.
func TestSourceAlone(t *testing.T) {
	source := make(found)
	w, err := newWorker(Config{Sources: []discovery.Source{source}, Secret: secret, MediaAddress: "127.0.0.1"}, startEngine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	d := newDoor(t)
	source <- []string{d.address()}
	d.accept()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
