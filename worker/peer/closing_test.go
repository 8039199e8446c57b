package peer

import (
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// TestCloseWhileConnecting: a peer that ends at the very moment at which ICE
// connects is closed as any other.
func TestCloseWhileConnecting(t *testing.T) {
	const browsers, step = 96, 100 * time.Microsecond
	l := listen(t, Config{Address: "127.0.0.1"})
	var all sync.WaitGroup
	for i := range browsers {
		p, err := l.Open(newWatcher().events(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := peertest.New(t, peertest.Options{})
		answer, err := p.Answer(t.Context(), b.Offer(), "")
		if err != nil {
			t.Fatal(err)
		}
		b.Accept(answer)
		all.Go(func() {
			<-time.After(time.Duration(i) * step) // when, is what varies
			p.Close()
			b.Close()
		})
		if i%8 == 7 {
			all.Wait()
		}
	}
}
