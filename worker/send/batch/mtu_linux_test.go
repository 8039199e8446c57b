package batch

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hosts opens a Conn on one host and a plain socket on another.
func hosts(t *testing.T, here, there *host, from, at string, cfg Config) (c *Conn, p *net.UDPConn, to netip.AddrPort) {
	t.Helper()
	here.do(func() {
		if c, _ = Listen(netip.AddrPortFrom(netip.MustParseAddr(from), 0), cfg); c == nil {
			t.Error("cannot listen on", from)
		}
	})
	there.do(func() {
		p, _ = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(at), 0)))
		if p == nil {
			t.Error("cannot listen on", at)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { _, _ = c.Close(), p.Close() })
	if err := p.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	return c, p, unmap(p.LocalAddr().(*net.UDPAddr).AddrPort())
}

// TestSmallMTU sends datagrams that are larger than the device's or the route's
// MTU: all of them arrive, and the viewer's tag says that they were too large.
func TestSmallMTU(t *testing.T) {
	tests := []struct {
		name, from, at string
		mtu            int
		route          []string
	}{
		{"IPv4 device", "10.0.1.1", "10.0.1.2", 1280, nil},
		{"IPv6 device", "fd00:1::1", "fd00:1::2", 1280, nil},
		{"IPv4 route", "10.0.1.1", "10.0.1.2", 1500, []string{"route change 10.0.1.0/24 dev v1 src 10.0.1.1 mtu 1280"}},
		{"IPv6 route", "fd00:1::1", "fd00:1::2", 1500, []string{"-6 route replace fd00:1::2/128 dev v1 mtu 1280"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			here, there := newHost(t), newHost(t)
			here.join(there, 1, test.mtu)
			here.ip(test.route...)
			c, p, to := hosts(t, here, there, test.from, test.at, Config{})
			w := c.NewWriter()

			large, largeDatagrams := burst(30, 1400, 1300)
			small, smallDatagrams := burst(30, 1200, 90)
			w.Add(to, small, 1200, 1)
			w.Add(to, large, 1400, 2)
			w.Add(to, small, 1200, 3)
			failures := w.Flush()
			if len(failures) != 1 || failures[0] != (Failure{2, 30, ErrTooLarge}) {
				t.Fatalf("failures %v", failures)
			}
			expect(t, p, smallDatagrams...)
			expect(t, p, largeDatagrams...)
			expect(t, p, smallDatagrams...)
			s := c.Stats()
			if !s.Segmentation || s.TooLarge != 1 || s.Packets != 90 || s.Messages != 32 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestPathMTU sends across a router whose far cable is narrow: the router's ICMP
// message tells the kernel, the next burst is reported and arrives in fragments.
func TestPathMTU(t *testing.T) {
	for _, test := range []struct{ name, from, at string }{
		{"IPv4", "10.0.1.1", "10.0.2.2"}, {"IPv6", "fd00:1::1", "fd00:2::2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			here, router, there := newHost(t), newHost(t), newHost(t)
			here.join(router, 1, 1500)
			router.join(there, 2, 1280)
			router.sysctl("net/ipv4/ip_forward", "1")
			router.sysctl("net/ipv6/conf/all/forwarding", "1")
			here.ip("route add 10.0.2.0/24 via 10.0.1.2", "-6 route add fd00:2::/64 via fd00:1::2")
			there.ip("route add 10.0.1.0/24 via 10.0.2.1", "-6 route add fd00:1::/64 via fd00:2::1")
			c, p, to := hosts(t, here, there, test.from, test.at, Config{})
			w := c.NewWriter()
			large, datagrams := burst(30, 1400, 1300)
			small, smallDatagrams := burst(30, 1200, 90)
			w.Add(to, small, 1200, 0) // the neighbours find each other
			if failures := w.Flush(); failures != nil {
				t.Fatal(failures)
			}
			expect(t, p, smallDatagrams...)
			// Linux sets DF on one datagram of IPv4, but not on a segmented message
			// (__ip_make_skb, net/ipv4/ip_output.c): those the router fragments.
			for end := time.Now().Add(patience); ; {
				w.Add(to, large[:1400], 1400, 1)
				w.Add(to, large[:2800], 1400, 1)
				if failures := w.Flush(); failures != nil {
					if len(failures) != 1 || failures[0] != (Failure{1, 2, ErrTooLarge}) {
						t.Fatal(failures)
					}
					break
				}
				if time.Now().After(end) {
					t.Fatal("the path MTU was never learnt")
				}
			}
			skip(t, c, p)
			w.Add(to, large, 1400, 1)
			if failures := w.Flush(); len(failures) != 1 || failures[0] != (Failure{1, 30, ErrTooLarge}) {
				t.Fatal(failures)
			}
			expect(t, p, datagrams...)
			w.Add(to, small, 1200, 2)
			if failures := w.Flush(); failures != nil {
				t.Fatal("after shrinking:", failures)
			}
			expect(t, p, smallDatagrams...)
		})
	}
}

// skip reads all that is under way to p.
func skip(t *testing.T, c *Conn, p *net.UDPConn) {
	t.Helper()
	end, buffer := "the last one", make([]byte, 2000)
	if _, err := c.WriteTo([]byte(end), p.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	for n := 0; string(buffer[:n]) != end; {
		if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		var err error
		if n, err = p.Read(buffer); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullSendBuffer fills the buffer of a socket: what is sent to an address
// that does not answer waits there for its neighbour, for seconds.
func TestFullSendBuffer(t *testing.T) {
	here, there := newHost(t), newHost(t)
	here.join(there, 1, 1500)
	here.sysctl("net/ipv4/neigh/v1/unres_qlen_bytes", "1000000")
	c, p, to := hosts(t, here, there, "10.0.1.1", "10.0.1.2", Config{})
	setBuffer(c.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, 40000)
	nobody := netip.MustParseAddrPort("10.0.1.77:9")
	w := c.NewWriter()
	packets, datagrams := burst(30, 1200, 1200)
	for range 20 {
		w.Add(nobody, packets, 1200, 5)
	}
	failures := w.Flush()
	if len(failures) != 1 || failures[0].Tag != 5 || !errors.Is(failures[0].Err, ErrCongested) {
		t.Fatalf("failures %v", failures)
	}
	s := c.Stats()
	if s.Packets == 0 || s.Packets+s.DroppedCongested != 600 {
		t.Fatalf("stats %+v", s)
	}
	if _, err := c.WriteTo(datagrams[0], net.UDPAddrFromAddrPort(nobody)); !errors.Is(err, ErrCongested) {
		t.Fatal("one datagram:", err)
	}
	// Somebody who answers after all lets the buffer run empty.
	there.ip("addr add 10.0.1.77/24 dev v1")
	for end := time.Now().Add(patience); ; {
		w.Add(to, packets, 1200, 6)
		if failures = w.Flush(); failures == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the buffer never ran empty:", failures)
		}
	}
	expect(t, p, datagrams...)
}

// TestCloseEndsAWaitForRoom closes while a Writer waits for a full buffer.
func TestCloseEndsAWaitForRoom(t *testing.T) {
	here, there := newHost(t), newHost(t)
	here.join(there, 1, 1500)
	here.sysctl("net/ipv4/neigh/v1/unres_qlen_bytes", "1000000")
	c, _, _ := hosts(t, here, there, "10.0.1.1", "10.0.1.2", Config{})
	setBuffer(c.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, 40000)
	w := c.NewWriter()
	packets, _ := burst(30, 1200, 1200)
	filled, ended := make(chan struct{}), make(chan error)
	go func() {
		var last error
		for congested := false; !errors.Is(last, net.ErrClosed); {
			w.Add(netip.MustParseAddrPort("10.0.1.77:9"), packets, 1200, 0)
			if failures := w.Flush(); failures != nil {
				last = failures[len(failures)-1].Err
			}
			if errors.Is(last, ErrCongested) && !congested {
				close(filled)
				congested = true
			}
		}
		ended <- last
	}()
	<-filled
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}
