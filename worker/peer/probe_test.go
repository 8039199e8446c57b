package peer

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// padding is an attribute that a receiver may ignore.
type padding int

// AddTo implements stun.Setter.
func (p padding) AddTo(m *stun.Message) error {
	m.Add(0xc002, make([]byte, p))
	return nil
}

func probe(set ...stun.Setter) []byte {
	return stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, set...)...).Raw
}

func TestProbeIsAnswered(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			if l, err := net.ListenPacket("udp", net.JoinHostPort(address, "0")); err != nil {
				t.Skipf("SKIPPED: no such address here: %v", err)
			} else {
				_ = l.Close()
			}
			l := listen(t, Config{Address: address})
			conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.Addrs()[0]))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetReadDeadline(time.Now().Add(peertest.Patience))
			for _, size := range []int{40, 1172} {
				request := probe(padding(size))
				if _, err := conn.Write(request); err != nil {
					t.Fatal(err)
				}
				answer := &stun.Message{Raw: make([]byte, 1500)}
				n, err := conn.Read(answer.Raw)
				if err != nil {
					t.Fatal(err)
				}
				answer.Raw = answer.Raw[:n]
				var seen stun.XORMappedAddress
				if err := answer.Decode(); err != nil || seen.GetFrom(answer) != nil || n > len(request) {
					t.Fatalf("answer of %d bytes %v, %v", n, answer, err)
				}
				if string(answer.TransactionID[:]) != string(request[8:20]) || seen.String() != conn.LocalAddr().String() {
					t.Errorf("transaction %x for %x; seen as %s, want %s", answer.TransactionID, request[8:20], seen, conn.LocalAddr())
				}
			}
		})
	}
}

func TestIsProbe(t *testing.T) {
	good := probe(padding(40))
	cut := append([]byte(nil), good...)
	binary.BigEndian.PutUint16(cut[22:], 41) // one attribute beyond the end
	tests := []struct {
		name string
		data []byte
		want bool
	}{
		{"padded", good, true},
		{"plain", probe(), true},
		{"with a user", probe(stun.NewUsername("a:b"), padding(40)), false},
		{"user last", probe(padding(40), stun.NewUsername("a:b")), false},
		{"an answer", stun.MustBuild(stun.TransactionID, stun.BindingSuccess).Raw, false},
		{"an indication", stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication)).Raw, false},
		{"RTP", append([]byte{0x80, 96}, make([]byte, 40)...), false},
		{"longer than it says", append(append([]byte(nil), good...), 0), false},
		{"shorter than it says", good[:len(good)-1], false},
		{"attribute beyond the end", cut, false},
		{"half an attribute", append([]byte{0, 1, 0, 2}, append(good[4:20:20], 0, 0)...), false},
		{"empty", nil, false},
	}
	for _, tt := range tests {
		if got := isProbe(tt.data); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A probe that is shorter than its answer would let a forged sender have more
// sent to another than it sends itself.
func TestShortProbe(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:5")
	c := &probed{}
	for size, want := range map[int]int{0: 0, 4: 0, 8: 0, 12: 32} {
		request := probe()
		if size > 0 {
			request = probe(padding(size - 4))
		}
		if got := c.answerTo(request, from, time.Now()); len(got) != want {
			t.Errorf("%d bytes for a probe of %d, want %d", len(got), len(request), want)
		}
	}
	if got := c.answerTo(probe(padding(8+4)), netip.MustParseAddrPort("[2001:db8::1]:5"), time.Now()); got != nil {
		t.Errorf("%d bytes over IPv6 for a probe of 36", len(got))
	}
}

func TestProbeRate(t *testing.T) {
	c, now := &probed{}, time.Unix(1000, 0)
	from, request := netip.MustParseAddrPort("192.0.2.1:5"), probe(padding(40))
	count := func(at time.Time) (n int) {
		for range 5000 {
			if c.answerTo(request, from, at) != nil {
				n++
			}
		}
		return n
	}
	if n := count(now); n != probeBurst {
		t.Errorf("%d answers at once, want %d", n, probeBurst)
	}
	if n := count(now.Add(10 * time.Millisecond)); n != probeRate/100 {
		t.Errorf("%d answers in 10 ms, want %d", n, probeRate/100)
	}
	if n := count(now.Add(time.Hour)); n != probeBurst {
		t.Errorf("%d answers after an hour, want %d", n, probeBurst)
	}
}

func TestProbeAllocatesNothing(t *testing.T) {
	c, request, now := &probed{}, probe(padding(1176)), time.Now()
	from := netip.MustParseAddrPort("192.0.2.1:5")
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Millisecond)
		if !isProbe(request) || c.answerTo(request, from, now) == nil {
			t.Fatal("no answer")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a probe", n)
	}
}

func FuzzIsProbe(f *testing.F) {
	f.Add(probe(padding(40)))
	f.Add(probe(stun.NewUsername("a:b")))
	f.Add([]byte{0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42})
	f.Fuzz(func(t *testing.T, data []byte) {
		if !isProbe(data) {
			return
		}
		m := &stun.Message{Raw: append([]byte(nil), data...)}
		if err := m.Decode(); err != nil || m.Contains(stun.AttrUsername) {
			t.Errorf("%x is taken for a probe; %v", data, err)
		}
		answer := (&probed{}).answerTo(data, netip.MustParseAddrPort("[2001:db8::1]:5"), time.Now())
		if len(answer) > len(data) {
			t.Errorf("%d bytes for %d", len(answer), len(data))
		}
	})
}

func BenchmarkProbe(b *testing.B) {
	c, request, now := &probed{}, probe(padding(1176)), time.Now()
	from := netip.MustParseAddrPort("192.0.2.1:5")
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		if !isProbe(request) || c.answerTo(request, from, now) == nil {
			b.Fatal("no answer")
		}
	}
}
