package batch

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// patience ends a test that waits for what will not come.
const patience = time.Minute

// families are the loopback addresses to test on.
func families(t testing.TB) map[string]netip.Addr {
	t.Helper()
	found := map[string]netip.Addr{"IPv4": netip.MustParseAddr("127.0.0.1")}
	probe, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Log("NOT TESTED: this machine has no IPv6:", err)
		return found
	}
	_ = probe.Close()
	found["IPv6"] = netip.IPv6Loopback()
	return found
}

func listen(t testing.TB, addr netip.Addr, cfg Config) *Conn {
	t.Helper()
	c, err := Listen(netip.AddrPortFrom(addr, 0), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// peer is a plain socket that datagrams are sent to.
func peer(t testing.TB, addr netip.Addr) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	p, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := p.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	return p, unmap(p.LocalAddr().(*net.UDPAddr).AddrPort())
}

// expect reads datagrams and compares them byte by byte.
func expect(t testing.TB, p *net.UDPConn, want ...[]byte) {
	t.Helper()
	buffer := make([]byte, 65536)
	for i, w := range want {
		if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := p.Read(buffer)
		if err != nil {
			t.Fatalf("datagram %d of %d: %v", i, len(want), err)
		}
		if !bytes.Equal(buffer[:n], w) {
			t.Fatalf("datagram %d of %d: %d bytes that differ from the %d sent", i, len(want), n, len(w))
		}
	}
}

// expectNothing says that all datagrams have been read: one sent now is the next.
func expectNothing(t testing.TB, p *net.UDPConn) {
	t.Helper()
	end := []byte("the end of this test")
	if _, err := p.WriteTo(end, p.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	expect(t, p, end)
}

func TestReadFromAndWriteTo(t *testing.T) {
	for name, addr := range families(t) {
		t.Run(name, func(t *testing.T) {
			c := listen(t, addr, Config{})
			p, to := peer(t, addr)
			if _, err := c.WriteTo([]byte("out"), net.UDPAddrFromAddrPort(to)); err != nil {
				t.Fatal(err)
			}
			expect(t, p, []byte("out"))

			var first net.Addr
			for _, text := range []string{"in", "", "again"} {
				if _, err := p.WriteToUDPAddrPort([]byte(text), c.AddrPort()); err != nil {
					t.Fatal(err)
				}
				buffer := make([]byte, 100)
				n, from, err := c.ReadFrom(buffer)
				if err != nil || string(buffer[:n]) != text {
					t.Fatalf("read %q, %v, want %q", buffer[:n], err, text)
				}
				if got := unmap(from.(*net.UDPAddr).AddrPort()); got != to {
					t.Fatalf("from %v, want %v", got, to)
				}
				if first == nil {
					first = from
				}
				if from != first {
					t.Error("the sender's address is not the one remembered")
				}
			}
			s := c.Stats()
			if s.Packets != 1 || s.Bytes != 3 || s.Messages != 1 || s.Syscalls != 1 || s.Received != 3 || s.ReceivedBytes != 7 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestReadDeadline(t *testing.T) {
	c := listen(t, netip.MustParseAddr("127.0.0.1"), Config{})
	if err := c.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("after the deadline:", err)
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || !os.IsTimeout(err) {
		t.Fatal("at the deadline:", err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(make([]byte, 1)); err != nil {
		t.Fatal("before the deadline:", err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(make([]byte, 1)); err != nil {
		t.Fatal("without a deadline:", err)
	}
}
