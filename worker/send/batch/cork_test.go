package batch

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// rtp makes a datagram of RTP: version 2, payload type 96.
func rtp(size int, fill byte) []byte {
	p := slices.Repeat([]byte{fill}, size)
	p[0], p[1] = 0x80, 96
	return p
}

func TestIsRTP(t *testing.T) {
	of := func(first, second byte) []byte { return append([]byte{first, second}, make([]byte, 10)...) }
	tests := []struct {
		name string
		p    []byte
		want bool
	}{
		{"RTP", of(0x80, 96), true},
		{"RTP with extension", of(0x90, 111), true},
		{"RTP with marker", of(0xbf, 0x80|96), true},
		{"RTP with marker, highest type", of(0x80, 255), true},
		{"sender report", of(0x80, 200), false},
		{"first RTCP", of(0x81, 192), false},
		{"last RTCP", of(0x81, 223), false},
		{"STUN", of(0, 1), false},
		{"DTLS", of(22, 254), false},
		{"TURN channel", of(64, 0), false},
		{"version 3", of(0xc0, 96), false},
		{"too short", []byte{0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false},
		{"empty", nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := isRTP(test.p); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestCork(t *testing.T) {
	for name, addr := range families(t) {
		t.Run(name, func(t *testing.T) {
			c := listen(t, addr, Config{})
			p, to := peer(t, addr)
			other, elsewhere := peer(t, addr)
			write := func(b []byte, to netip.AddrPort) {
				t.Helper()
				if n, err := c.WriteTo(b, net.UDPAddrFromAddrPort(to)); n != len(b) || err != nil {
					t.Fatal(n, err)
				}
			}
			media := [][]byte{rtp(1200, 1), rtp(1200, 2), rtp(1200, 3), rtp(700, 4), rtp(90, 5), rtp(1200, 6)}
			stun, report := make([]byte, 20), append([]byte{0x80, 200}, make([]byte, 26)...)

			c.Cork(to)
			for _, m := range media {
				buffer := slices.Clone(m)
				write(buffer, to)
				clear(buffer) // it is the caller's again
			}
			write(media[0], elsewhere)
			expect(t, other, media[0])
			write(stun, to)
			write(report, to)
			expect(t, p, stun, report) // never held, so they overtake
			if err := c.Uncork(to); err != nil {
				t.Fatal(err)
			}
			expect(t, p, media...)

			write(media[0], to) // not corked any more
			expect(t, p, media[0])
			expectNothing(t, p)
			s := c.Stats()
			if s.Packets != 10 {
				t.Errorf("%d packets, want 10", s.Packets)
			}
			if s.Segmentation && s.Messages != 7 {
				t.Errorf("%d messages, want 3 for what was held and 4", s.Messages)
			}
		})
	}
}

func TestCorkNestsAndUncorkAloneDoesNothing(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	c := listen(t, addr, Config{})
	p, to := peer(t, addr)
	if err := c.Uncork(to); err != nil {
		t.Fatal(err)
	}
	c.Cork(to)
	c.Cork(netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())) // the same, 4-in-6
	if _, err := c.WriteTo(rtp(100, 1), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
	if err := c.Uncork(to); err != nil {
		t.Fatal(err)
	}
	expectNothing(t, p)
	if err := c.Uncork(to); err != nil {
		t.Fatal(err)
	}
	expect(t, p, rtp(100, 1))
}

func TestCorkSendsWhenFull(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	c := listen(t, addr, Config{})
	p, to := peer(t, addr)
	const size = 1200
	fits := corkBytes / size
	c.Cork(to)
	var sent [][]byte
	for i := range fits + 1 {
		sent = append(sent, rtp(size, byte(i)))
		if _, err := c.WriteTo(sent[i], net.UDPAddrFromAddrPort(to)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, p, sent[:fits]...)
	expectNothing(t, p)
	if err := c.Uncork(to); err != nil {
		t.Fatal(err)
	}
	expect(t, p, sent[fits])
}

func TestUncorkReportsWhatFailed(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	c := listen(t, addr, Config{Fault: func(int) error { return syscall.EMSGSIZE }})
	if !c.Stats().Segmentation {
		t.Skip("NOT TESTED: this kernel cannot segment")
	}
	p, to := peer(t, addr)
	for _, held := range []int{2, 1} {
		c.Cork(to)
		for range held {
			if _, err := c.WriteTo(rtp(1000, 1), net.UDPAddrFromAddrPort(to)); err != nil {
				t.Fatal(err)
			}
		}
		if err, want := c.Uncork(to), held > 1; errors.Is(err, ErrTooLarge) != want {
			t.Errorf("%d held: %v", held, err)
		}
	}
	expect(t, p, rtp(1000, 1), rtp(1000, 1), rtp(1000, 1))
	c.Cork(to)
	if _, err := c.WriteTo(rtp(1000, 1), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Uncork(to); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestCorkOfManyAtOnce(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	c := listen(t, addr, Config{})
	var all sync.WaitGroup
	for i := range 8 {
		p, to := peer(t, addr)
		dst := net.UDPAddrFromAddrPort(to)
		all.Go(func() {
			for round := range 20 {
				c.Cork(to)
				for range 5 {
					if _, err := c.WriteTo(rtp(300, byte(i*20+round)), dst); err != nil {
						t.Error(err)
					}
				}
				if err := c.Uncork(to); err != nil {
					t.Error(err)
				}
				m := rtp(300, byte(i*20+round))
				expect(t, p, m, m, m, m, m)
			}
		})
	}
	all.Wait()
	if n := len(c.corks.queue); n != 0 {
		t.Errorf("%d addresses still corked", n)
	}
	if n := len(c.corks.spare); n == 0 || n > 8 {
		t.Errorf("%d queues kept", n)
	}
}
