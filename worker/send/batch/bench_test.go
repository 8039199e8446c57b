package batch

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// The burst that the figures of the package's users are about: a 43 kB frame.
const (
	benchDatagrams = 36
	benchSize      = 1200
)

// BenchmarkFlush sends bursts to a socket that nobody reads.
func BenchmarkFlush(b *testing.B) {
	for _, name := range []string{"segmented", "sendmmsg"} {
		b.Run(name, func(b *testing.B) {
			addr := netip.MustParseAddr("127.0.0.1")
			c := listen(b, addr, Config{})
			if name == "sendmmsg" {
				c.stopSegmenting(syscall.EIO)
			}
			_, to := peer(b, addr)
			packets, _ := burst(benchDatagrams, benchSize, benchSize)
			w := c.NewWriter()
			b.ReportAllocs()
			for b.Loop() {
				w.Add(to, packets, benchSize, 0)
				if failures := w.Flush(); failures != nil {
					b.Fatal(failures)
				}
			}
			perPacket(b)
		})
	}
}

// BenchmarkWriteTo sends the same bursts datagram by datagram.
func BenchmarkWriteTo(b *testing.B) {
	addr := netip.MustParseAddr("127.0.0.1")
	plain, err := net.ListenUDP("udp4", &net.UDPAddr{IP: addr.AsSlice()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	for _, bench := range []struct {
		name string
		conn net.PacketConn
	}{{"Conn", listen(b, addr, Config{})}, {"net.UDPConn", plain}} {
		b.Run(bench.name, func(b *testing.B) {
			_, to := peer(b, addr)
			dst := net.UDPAddrFromAddrPort(to)
			_, datagrams := burst(benchDatagrams, benchSize, benchSize)
			b.ReportAllocs()
			for b.Loop() {
				for _, d := range datagrams {
					if _, err := bench.conn.WriteTo(d, dst); err != nil {
						b.Fatal(err)
					}
				}
			}
			perPacket(b)
		})
	}
}

// BenchmarkCork is pion's way: datagram by datagram into the queue, out in runs.
func BenchmarkCork(b *testing.B) {
	addr := netip.MustParseAddr("127.0.0.1")
	c := listen(b, addr, Config{})
	_, to := peer(b, addr)
	dst := net.UDPAddrFromAddrPort(to)
	_, datagrams := burst(benchDatagrams, benchSize, benchSize)
	for _, d := range datagrams {
		d[0], d[1] = 0x80, 96
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Cork(to)
		for _, d := range datagrams {
			if _, err := c.WriteTo(d, dst); err != nil {
				b.Fatal(err)
			}
		}
		if err := c.Uncork(to); err != nil {
			b.Fatal(err)
		}
	}
	perPacket(b)
}

// BenchmarkReadFrom takes datagrams that lie ready, 16 a time.
func BenchmarkReadFrom(b *testing.B) {
	addr := netip.MustParseAddr("127.0.0.1")
	c := listen(b, addr, Config{})
	s := listen(b, addr, Config{})
	w := s.NewWriter()
	packets, _ := burst(64, 200, 200)
	buffer := make([]byte, 1500)
	b.ReportAllocs()
	for b.Loop() {
		w.Add(c.AddrPort(), packets, 200, 0)
		w.Flush()
		for range 64 {
			if _, _, err := c.ReadFrom(buffer); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(64*b.N), "ns/packet")
}

// BenchmarkPlan plans a full Writer.
func BenchmarkPlan(b *testing.B) {
	entries := make([]entry, writerEntries)
	for i := range entries {
		entries[i] = entry{packets: make([]byte, 100*1200), segment: 1200}
	}
	messages := make([]message, writerMessages)
	b.ReportAllocs()
	for b.Loop() {
		for at := (cursor{}); ; {
			n := plan(messages, entries, at, 65507, true)
			if n == 0 {
				break
			}
			at = cursor{messages[n-1].entry, messages[n-1].to}
		}
	}
}

func perPacket(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(benchDatagrams*b.N), "ns/packet")
}
