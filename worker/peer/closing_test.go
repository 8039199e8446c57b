package peer

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun"

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

// TestAddressesOfClosedPeers: what a peer has asked for a path belongs to others
// when it has ended, also if it ended before it could ask.
func TestAddressesOfClosedPeers(t *testing.T) {
	const browsers = 8
	l := listen(t, Config{Address: "127.0.0.1"})
	offer := peertest.New(t, peertest.Options{}).Offer()
	var sockets []net.PacketConn
	for range browsers {
		socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = socket.Close() })
		sockets = append(sockets, socket)
		p, err := l.Open(newWatcher().events(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(socket.LocalAddr().String())
		_, err = p.Answer(t.Context(), offer, "")
		mid := "0"
		err = errors.Join(err, p.AddCandidate("candidate:1 1 udp 2130706431 127.0.0.1 "+port+" typ host", &mid, nil))
		p.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	next, err := l.Open(newWatcher().events(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	answer, err := next.Answer(t.Context(), offer, "")
	if err != nil {
		t.Fatal(err)
	}
	for i, socket := range sockets {
		if !bindsTo(t, socket, l.conns[0].LocalAddr(), answer, offer) {
			t.Errorf("the peer does not hear address %d, which another one had before", i)
		}
	}
}

// bindsTo says whether a peer answers a check of a browser at the socket.
func bindsTo(t *testing.T, socket net.PacketConn, to net.Addr, answer, offer string) bool {
	t.Helper()
	request, err := stun.Build(
		stun.TransactionID, stun.BindingRequest, stun.NewUsername(value(answer, "ice-ufrag")+":"+value(offer, "ice-ufrag")),
		stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{1, 0, 0, 0}},
		stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)},
		stun.NewShortTermIntegrity(value(answer, "ice-pwd")), stun.Fingerprint,
	)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	for range 50 {
		if _, err := socket.WriteTo(request.Raw, to); err != nil {
			t.Fatal(err)
		}
		for _ = socket.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); ; {
			n, _, err := socket.ReadFrom(buf)
			if err != nil {
				break // it is asked again
			}
			response := &stun.Message{Raw: buf[:n]}
			if response.Decode() == nil && response.Type == stun.BindingSuccess && response.TransactionID == request.TransactionID {
				return true
			}
		}
	}
	return false
}
