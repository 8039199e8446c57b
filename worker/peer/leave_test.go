package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// TestBrowserLeavesWhileConnecting: whenever a browser goes, its peer ends. One
// that went while its data channels were being opened used to be kept for ever.
func TestBrowserLeavesWhileConnecting(t *testing.T) {
	const browsers, step = 64, 50 * time.Microsecond
	l := listen(t, Config{Address: "127.0.0.1"})
	var all sync.WaitGroup
	for i := range browsers {
		w := newWatcher()
		p, err := l.Open(w.events(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := peertest.New(t, peertest.Options{})
		answer, err := p.Answer(t.Context(), b.Offer(), "")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- p.Run(t.Context()) }()
		b.Accept(answer)
		all.Go(func() {
			peertest.Wait(t, "the connection", w.ready)
			<-time.After(time.Duration(i) * step) // when, is what varies
			_ = b.PC.Close()
			p.finish(ErrLost) // what ICE would find out after 30 s
			select {
			case err := <-done:
				if err == nil {
					t.Errorf("browser %d: no reason", i)
				}
			case <-time.After(peertest.Patience):
				t.Errorf("the peer of browser %d does not end", i)
			}
		})
		if i%8 == 7 {
			all.Wait()
		}
	}
}

// TestBrowserThatNeverConnects does not hold its seat for long.
func TestBrowserThatNeverConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Peer{end: make(chan struct{})}
		start := time.Now()
		p.wait(t.Context())
		if d := time.Since(start); d != firstPatience || !errors.Is(p.endErr, ErrLost) {
			t.Errorf("ended after %v: %v", d, p.endErr)
		}
		p = &Peer{end: make(chan struct{})}
		p.ready.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		p.wait(ctx)
		if d := time.Since(start); d != firstPatience+time.Hour || !errors.Is(p.endErr, ErrClosed) {
			t.Errorf("ended after %v: %v", d, p.endErr)
		}
	})
}

// TestReadingEndsWithoutTheBrowser: nothing tells the reading of a channel that
// its association is gone; closing must not wait for that.
func TestReadingEndsWithoutTheBrowser(t *testing.T) {
	p, b, _, done := connect(t, listen(t, Config{Address: "127.0.0.1"}), peertest.Options{})
	peertest.Wait(t, "the channel", b.Open)
	p.Close()
	if err := peertest.Wait(t, "the end", done); !errors.Is(err, ErrClosed) {
		t.Errorf("ended with %v", err)
	}
	if p.addReader(nil) {
		t.Error("a channel is read after the end")
	}
}

// TestLargeMessages: what is too large reaches the owner cut, and the channel goes on.
func TestLargeMessages(t *testing.T) {
	_, b, w, _ := connect(t, listen(t, Config{Address: "127.0.0.1"}), peertest.Options{})
	peertest.Wait(t, "the channel", b.Open)
	for _, size := range []int{maxControl, maxControl + 1, 60_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			if err := b.Channel.SendText(strings.Repeat("x", size)); err != nil {
				t.Fatal(err)
			}
			if m := peertest.Wait(t, "the message", w.control); len(m) != min(size, maxControl+1) {
				t.Errorf("%d bytes", len(m))
			}
		})
	}
	if b.Input.ReadyState() != webrtc.DataChannelStateOpen {
		return // it opens when it likes
	}
	if err := b.Input.Send(make([]byte, 4*maxInput)); err != nil {
		t.Fatal(err)
	}
	if m := peertest.Wait(t, "the datagram", w.inputs); len(m) != maxInput+1 {
		t.Errorf("%d bytes of input", len(m))
	}
}
