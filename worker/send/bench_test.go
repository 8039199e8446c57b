package send

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// sink is a socket that nobody reads.
func sink(tb testing.TB) netip.AddrPort {
	tb.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// accessUnit is one slice of H.264 of so many bytes.
func accessUnit(size int, key bool) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*7 + i>>8 | 1) // no start codes
	}
	copy(b, []byte{0, 0, 0, 1, 0x41})
	if key {
		b[4] = 0x65
	}
	return b
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTurn is 20 Mbit/s at 60 pictures a second, without waiting.
func BenchmarkTurn(b *testing.B) {
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("viewers=%d", n), func(b *testing.B) {
			now := time.Duration(0)
			s := New(Config{Now: func() time.Duration { return now }})
			conn := listen(b, "127.0.0.1", batch.Config{})
			to := sink(b)
			for range n {
				v := NewViewer(ViewerConfig{Video: videoStream()})
				s.Attach(v)
				openFast(b, v, conn, to, seal.AEADAES128GCM)
			}
			s.Video(Frame{Codec: packetize.H264, Data: accessUnit(1000, true), Key: true})
			picture := accessUnit(20_000_000/8/60, false)
			b.ReportAllocs()
			b.ResetTimer()
			before, from := cpu(), s.cfg.Stats.Snapshot().Packets
			for b.Loop() {
				now += time.Second / 60
				s.Video(Frame{Codec: packetize.H264, Data: picture, PTS: now})
				for next := s.Turn(now); next > 0; next = s.Turn(next) {
				}
			}
			packets := float64(s.cfg.Stats.Snapshot().Packets - from)
			b.ReportMetric(float64(cpu()-before)/packets, "cpu-ns/packet")
		})
	}
}

// BenchmarkFloor is sealing and sending the same packets and nothing else.
func BenchmarkFloor(b *testing.B) {
	conn := listen(b, "127.0.0.1", batch.Config{})
	to, w := sink(b), conn.NewWriter()
	key, salt := keys(seal.AEADAES128GCM)
	sealer, err := seal.New(seal.AEADAES128GCM, key, salt, videoSSRC)
	if err != nil {
		b.Fatal(err)
	}
	const packets, payload, size = 36, 1158, 1158 + 28 + 16
	ring, plain := make([]byte, packets*size), make([]byte, packets*payload)
	index, h := uint64(0), newHeader(videoStream(), videoSSRC, 96)
	before := cpu()
	n := 0
	for b.Loop() {
		for i := range packets {
			h.write(ring[i*size:], uint16(index), 0, false, 0)
			if _, err := sealer.Seal(ring[i*size:(i+1)*size], h.size, plain[i*payload:(i+1)*payload], index); err != nil {
				b.Fatal(err)
			}
			index++
		}
		w.Add(to, ring, size, 0)
		w.Flush()
		n += packets
	}
	b.ReportMetric(float64(cpu()-before)/float64(n), "cpu-ns/packet")
}
