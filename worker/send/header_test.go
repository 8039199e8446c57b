package send

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// TestHeader reads headers with each set of extensions by pion's parser.
func TestHeader(t *testing.T) {
	const at = 36*time.Hour + 1500*time.Millisecond
	abs, err := rtp.NewAbsSendTimeExtension(time.Unix(0, 0).Add(at)).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, codec := range []packetize.Codec{packetize.H264, packetize.VP9, packetize.Opus} {
		for set := range 8 {
			s := Stream{Codec: codec}
			if set&1 != 0 {
				s.TWCC = 14
			}
			if set&2 != 0 {
				s.AbsSendTime = 1
			}
			if set&4 != 0 {
				s.PlayoutDelay = 7
			}
			h := newHeader(s, 0xdeadbeef, 127)
			h.stamp(at)
			b := bytes.Repeat([]byte{0xff}, maxHeader+1)
			h.write(b, 0xfffe, 0x89abcdef, set%2 == 0, 0x1234)
			var got rtp.Header
			n, err := got.Unmarshal(b)
			if err != nil || n != h.size || n > maxHeader {
				t.Fatalf("%v %d: %d bytes of %d: %v", codec, set, n, h.size, err)
			}
			if got.SSRC != 0xdeadbeef || got.PayloadType != 127 || got.SequenceNumber != 0xfffe || got.Timestamp != 0x89abcdef || got.Marker != (set%2 == 0) {
				t.Errorf("%v %d: %+v", codec, set, got)
			}
			compare(t, "transport-wide number", got.GetExtension(14), set&1 != 0, []byte{0x12, 0x34})
			compare(t, "playout delay", got.GetExtension(7), set&4 != 0 && codec != packetize.Opus, []byte{0, 0, 0})
			// pion's time is NTP's, ours any clock: compare what passes between two.
			if now := bytes.Clone(got.GetExtension(1)); set&2 != 0 {
				h.stamp(at + time.Second)
				h.write(b, 0, 0, false, 0)
				var later rtp.Header
				if _, err := later.Unmarshal(b); err != nil {
					t.Fatal(err)
				}
				if d := (number(later.GetExtension(1)) - number(now)) & 0xffffff; d != 1<<18 {
					t.Errorf("a second is %d units", d)
				}
				if len(now) != len(abs) || number(now)&0x3ffff != number(abs)&0x3ffff {
					t.Errorf("send time %x, fraction of a second as in %x expected", now, abs)
				}
			}
		}
	}
}

func number(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

func compare(t *testing.T, name string, got []byte, there bool, want []byte) {
	t.Helper()
	if there && !bytes.Equal(got, want) || !there && got != nil {
		t.Errorf("%s: %x, want %x: %v", name, got, want, there)
	}
}

// TestHeaderIDs gives identifiers that one-byte headers do not have.
func TestHeaderIDs(t *testing.T) {
	h := newHeader(Stream{Codec: packetize.H264, TWCC: 15, AbsSendTime: 16, PlayoutDelay: 255}, 1, 255)
	if h.size != fixedHeader || h.twcc != 0 || h.abs != 0 || h.bytes[0] != 0x80 || h.bytes[1] != 127 {
		t.Errorf("%+v", h)
	}
}

func BenchmarkHeader(b *testing.B) {
	h := newHeader(videoStream(), videoSSRC, 96)
	dst := make([]byte, maxHeader)
	b.ReportAllocs()
	for b.Loop() {
		h.write(dst, 1, 2, true, 3)
	}
}

func TestFirstIndex(t *testing.T) {
	seen := make(map[uint64]bool)
	for range 1000 {
		i := firstIndex()
		if i < 1 || i >= 1<<15 {
			t.Fatal(i)
		}
		seen[i] = true
	}
	if len(seen) < 900 {
		t.Errorf("%d different starts of 1000", len(seen))
	}
}

func TestStreamsDiffer(t *testing.T) {
	path := &Path{}
	a, err := newStream(videoStream(), path, minHistory)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newStream(videoStream(), path, minHistory)
	if err != nil {
		t.Fatal(err)
	}
	if a.offset == b.offset {
		t.Error("two streams with one start of the RTP time")
	}
	if none, err := newStream(Stream{}, path, minHistory); none != nil || err != nil {
		t.Error("a stream that the browser does not take was made")
	}
}

func TestLatencyBuckets(t *testing.T) {
	var s Stats
	for d, bucket := range map[time.Duration]int{
		0: 0, 250 * time.Microsecond: 0, 251 * time.Microsecond: 1, time.Millisecond: 2, 64 * time.Millisecond: 8, time.Hour: 9,
	} {
		before := s.Snapshot().Latency[bucket]
		s.took(d)
		if got := s.Snapshot().Latency[bucket] - before; got != 1 {
			t.Errorf("%s: not in bucket %d", d, bucket)
		}
	}
	if LatencyBound(-1) != 0 || LatencyBound(LatencyBuckets-1) != 0 || LatencyBound(2) != time.Millisecond {
		t.Error("bounds")
	}
}

func TestPool(t *testing.T) {
	var p pool
	a := p.get()
	a.refs.Add(1)
	a.release()
	if b := p.get(); b == a {
		t.Fatal("a unit in use was given out")
	}
	a.release()
	if p.get() != a {
		t.Error("a unit that nobody uses was not used again")
	}
	for range 3 * poolSize {
		p.put(&unit{home: &p})
	}
	if len(p.spare) != poolSize {
		t.Errorf("%d units kept", len(p.spare))
	}
}
