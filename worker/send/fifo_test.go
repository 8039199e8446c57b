package send

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// TestFifo compares the queue with a slice, and the uses of its units with who has
// them.
func TestFifo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var p pool
	var q fifo
	var want []*unit
	for range 10_000 {
		switch k := random.IntN(10); {
		case k == 0:
			q.clear()
			for _, u := range want {
				if u.refs.Load() != 0 {
					t.Fatal("a unit is in use after its queue was cleared")
				}
			}
			want = want[:0]
		case k < 6 && q.n < fifoSize:
			u := p.get()
			q.push(u, &cut{})
			u.release() // the queue has one of its own
			want = append(want, u)
		case q.n > 0:
			if q.front() != want[0] {
				t.Fatal("another unit is at the front")
			}
			got := q.pop()
			if got.unit != want[0] || got.unit.refs.Load() != 1 {
				t.Fatalf("another unit, or one with %d uses", got.unit.refs.Load())
			}
			got.unit.release()
			want = slices.Delete(want, 0, 1)
		}
		if q.n != len(want) {
			t.Fatalf("%d units, want %d", q.n, len(want))
		}
		for i := range q.items {
			if used := (i-q.from+fifoSize)%fifoSize < q.n; !used && q.items[i].unit != nil {
				t.Fatal("a unit that was taken is still held")
			}
		}
	}
}

// TestUnitCuts cuts one picture for viewers behind different MTUs: those with the
// same limit share their cut, and all carry one picture number.
func TestUnitCuts(t *testing.T) {
	var p pool
	u := p.get()
	u.picture = 0x1234
	frame := append([]byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0}, make([]byte, 5_000)...)
	seen := make(map[int]*cut)
	for _, limit := range []int{maxPayload, 1100, maxPayload, smallest, 1100, smallest} {
		c, err := u.cut(packetize.VP8, frame, limit)
		if err != nil {
			t.Fatal(err)
		}
		if before := seen[limit]; before != nil && before != c {
			t.Errorf("cut twice at %d bytes", limit)
		}
		seen[limit] = c
		sum := 0
		for i := range c.frame.Len() {
			payload := c.frame.Payload(i)
			if len(payload) > limit || payload[2] != 0x92 || payload[3] != 0x34 {
				t.Errorf("payload of %d bytes at %d, number %x", len(payload), limit, payload[2:4])
			}
			sum += len(payload)
		}
		if c.bytes != sum || c.limit != limit {
			t.Errorf("cut at %d: %d bytes, want %d", c.limit, c.bytes, sum)
		}
	}
	if u.used != 3 {
		t.Errorf("%d cuts for three limits", u.used)
	}
	if _, err := u.cut(packetize.VP8, nil, 900); err == nil || u.used != 3 {
		t.Error("a picture that cannot be cut was counted")
	}
	u.release()
	again := p.get()
	if again != u || again.used != 0 || len(again.cuts) < 3 {
		t.Error("the memory of the cuts is not used again, or old cuts are valid")
	}
	if c, err := again.cut(packetize.VP8, frame[:3_000], 1100); err != nil || c.bytes != 3_000+4*c.frame.Len() {
		t.Errorf("a cut of the picture before: %v", err)
	}
}

// TestSmaller walks down the limits: there are few, each is below the last, and the
// way ends.
func TestSmaller(t *testing.T) {
	limit, steps := int32(maxPayload), 0
	for limit > smallest {
		next := smaller(limit)
		if next >= limit {
			t.Fatalf("%d after %d", next, limit)
		}
		limit = next
		steps++
	}
	if steps > 6 || smaller(smallest) != smallest || smaller(1) != smallest {
		t.Errorf("%d steps down to %d", steps, limit)
	}
	if smallest+maxHeader+osnLen+16+8+20 > 576 {
		t.Error("the smallest does not fit every IPv4 path")
	}
	if maxPayload+maxHeader+osnLen != maxPacket {
		t.Error("the largest payload with all extensions and a retransmission's number is another packet")
	}
}

// TestTimeAt carries RTP time on from the last unit, in either clock, over its end
// at 2^32 and for machines that are up for years.
func TestTimeAt(t *testing.T) {
	const year = 365 * 24 * time.Hour
	tests := []struct {
		name  string
		s     stream
		since time.Duration
		want  uint32
	}{
		{"now", stream{time: 7, pts: time.Hour}, 0, 7},
		{"a second of video", stream{time: 7, pts: time.Hour}, time.Second, 90_007},
		{"a second of sound", stream{cfg: Stream{Codec: packetize.Opus}, time: 7, pts: time.Hour}, time.Second, 48_007},
		{"with its random start", stream{time: 7, offset: 1000, pts: time.Hour}, time.Second, 91_007},
		{"before it", stream{time: 90_007, pts: time.Hour}, -time.Second, 7},
		{"half a tick", stream{pts: 3 * year}, 5555 * time.Nanosecond, 0},
		{"over the end", stream{time: 1<<32 - 90, pts: time.Hour}, time.Millisecond, 0},
		{"a year without a unit", stream{pts: year}, year, uint32(uint64(year/time.Second) * 90_000 & (1<<32 - 1))},
	}
	for _, test := range tests {
		if got := test.s.timeAt(test.s.pts + test.since); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// TestNTP has times whose NTP form is known (RFC 5905, figure 4), and checks that
// the middle of it has steps of 15 us.
func TestNTP(t *testing.T) {
	tests := []struct {
		at   time.Time
		want uint64
	}{
		{time.Unix(0, 0), 2_208_988_800 << 32},
		{time.Date(1972, 1, 1, 0, 0, 0, 0, time.UTC), 2_272_060_800 << 32},
		{time.Unix(0, 500_000_000), 2_208_988_800<<32 | 1<<31},
		{time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC), 0}, // the next era
	}
	for _, test := range tests {
		if got := ntp(test.at); got != test.want {
			t.Errorf("%s: %x, want %x", test.at, got, test.want)
		}
	}
	at := time.Unix(1_700_000_000, 0)
	if d := middle(at.Add(time.Second)) - middle(at); d != 1<<16 {
		t.Errorf("a second is %d units", d)
	}
	if d := middle(at.Add(250*time.Millisecond)) - middle(at); d != 1<<14 {
		t.Errorf("a quarter of a second is %d units", d)
	}
}

// TestVideoTime has steps of 1/90000 s that never go back, over the end at 2^32.
func TestVideoTime(t *testing.T) {
	for _, begin := range []time.Duration{0, time.Hour, 47721 * time.Second, 400 * 24 * time.Hour} {
		sum, last := uint32(0), videoTime(begin)
		for i := 1; i <= 600; i++ {
			now := videoTime(begin + time.Duration(i)*time.Second/60)
			if step := now - last; step < 1499 || step > 1501 {
				t.Fatalf("a step of %d at %s", step, begin)
			}
			sum += now - last
			last = now
		}
		if sum < 899_999 || sum > 900_001 {
			t.Errorf("10 s are %d units", sum)
		}
	}
}

// TestSoundModel delivers packets as badly as engines may: late, in bursts, with
// gaps, from another clock, of all lengths. RTP time never goes back nor stands
// still, no packet is held for more than a tick or sent into the past.
func TestSoundModel(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 3))
		var z timing
		now, pts := 100*time.Hour, 100*time.Hour
		var last place
		first := true
		for range 500 {
			duration := []time.Duration{2500 * time.Microsecond, 5 * time.Millisecond, packet, 2 * packet, 6 * packet, maxSound}[random.IntN(6)]
			switch random.IntN(40) {
			case 0:
				pts += time.Duration(random.Int64N(int64(5 * time.Second)))
			case 1:
				pts -= time.Duration(random.Int64N(int64(5 * time.Second)))
			case 2:
				now += time.Duration(random.Int64N(int64(time.Second)))
			}
			now = max(now, pts+duration) + time.Duration(random.Int64N(int64(20*time.Millisecond)))
			p, ok := z.next(Sound{PTS: pts, Duration: duration}, now)
			if !ok {
				t.Fatal("refused")
			}
			if held := p.due - now; held < 0 || held > maxHold {
				t.Fatalf("seed %d: held for %s", seed, held)
			}
			if step := int32(p.time - last.time); !first && step <= 0 {
				t.Fatalf("seed %d: RTP time moves by %d", seed, step)
			}
			if first != p.jump && first {
				t.Fatal("the first packet has no marker")
			}
			last, first = p, false
			pts += duration
		}
	}
}
