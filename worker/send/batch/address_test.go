package batch

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestSendersAreBounded(t *testing.T) {
	var s senders
	for i := range uint32(3 * maxSenders) {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], i)
		from := netip.AddrPortFrom(netip.AddrFrom4(a), uint16(i))
		udp := s.addr(from)
		if udp.AddrPort() != from {
			t.Fatalf("%v for %v", udp, from)
		}
		if s.addr(from) != udp {
			t.Fatalf("%v is not remembered", from)
		}
		if len(s.known) > maxSenders {
			t.Fatalf("%d addresses remembered", len(s.known))
		}
	}
}

func TestListenRefuses(t *testing.T) {
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	taken := listen(t, loopback.Addr(), Config{})
	tests := []struct {
		name string
		addr netip.AddrPort
		cfg  Config
	}{
		{"no address", netip.AddrPort{}, Config{}},
		{"a negative buffer", loopback, Config{ReadBuffer: -1}},
		{"a huge buffer", loopback, Config{WriteBuffer: maxBuffer + 1}},
		{"an address that is taken", taken.AddrPort(), Config{}},
		{"somebody else's address", netip.MustParseAddrPort("192.0.2.1:0"), Config{}},
		{"a zone that does not exist", netip.MustParseAddrPort("[fe80::1%nowhere]:0"), Config{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if c, err := Listen(test.addr, test.cfg); err == nil {
				_ = c.Close()
				t.Error("opened")
			}
		})
	}
}

// TestFamiliesAreApart: an IPv4 and an IPv6 socket share a port, and neither
// takes the other's addresses.
func TestFamiliesAreApart(t *testing.T) {
	all := families(t)
	if len(all) < 2 {
		t.Skip("NOT TESTED: this machine has no IPv6")
	}
	four := listen(t, netip.MustParseAddr("::ffff:127.0.0.1"), Config{})
	if !four.AddrPort().Addr().Is4() {
		t.Fatalf("4-in-6 address opened as %v", four.AddrPort())
	}
	six, err := Listen(netip.AddrPortFrom(netip.IPv6Unspecified(), four.AddrPort().Port()), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = six.Close() }()
	if _, err := six.WriteTo([]byte("x"), four.LocalAddr()); !errors.Is(err, ErrFamily) {
		t.Error("IPv4 address on an IPv6 socket:", err)
	}
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.IPv6Loopback(), 9))
	if _, err := four.WriteTo([]byte("x"), to); !errors.Is(err, ErrFamily) {
		t.Error("IPv6 address on an IPv4 socket:", err)
	}
	if _, err := four.WriteTo([]byte("x"), &net.TCPAddr{}); !errors.Is(err, ErrFamily) {
		t.Error("not a UDP address:", err)
	}
	if _, err := four.WriteTo([]byte("x"), &net.UDPAddr{}); !errors.Is(err, ErrFamily) {
		t.Error("no address:", err)
	}
	if s := four.Stats(); s.DroppedError != 2 || s.Packets != 0 || s.Syscalls != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestOversizeDatagramsAreDroppedAndCounted(t *testing.T) {
	for name, addr := range families(t) {
		t.Run(name, func(t *testing.T) {
			c := listen(t, addr, Config{})
			p, _ := peer(t, addr)
			fits := rtp(maxDatagram, 7)
			for _, d := range [][]byte{rtp(maxDatagram+1, 1), fits, rtp(60000, 1), []byte("cut")} {
				if _, err := p.WriteToUDPAddrPort(d, c.AddrPort()); err != nil {
					t.Fatal(err)
				}
			}
			buffer := make([]byte, 4096)
			n, _, err := c.ReadFrom(buffer)
			if err != nil || string(buffer[:n]) != string(fits) {
				t.Fatalf("read %d bytes, %v", n, err)
			}
			n, _, err = c.ReadFrom(buffer[:2])
			if err != nil || string(buffer[:n]) != "cu" {
				t.Fatalf("read %q, %v", buffer[:n], err)
			}
			if s := c.Stats(); s.ReceivedTooLarge != 2 || s.Received != 2 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestReadFromTakesWhatLiesReadyInOrder(t *testing.T) {
	for name, addr := range families(t) {
		t.Run(name, func(t *testing.T) {
			c, s := listen(t, addr, Config{}), listen(t, addr, Config{})
			packets, datagrams := burst(100, 150, 20)
			w := s.NewWriter()
			w.Add(c.AddrPort(), packets, 150, 0)
			if failures := w.Flush(); failures != nil {
				t.Fatal(failures)
			}
			buffer := make([]byte, 1500)
			for i, want := range datagrams {
				n, from, err := c.ReadFrom(buffer)
				if err != nil || string(buffer[:n]) != string(want) || from.String() != s.LocalAddr().String() {
					t.Fatalf("datagram %d: %d bytes from %v, %v", i, n, from, err)
				}
			}
		})
	}
}
