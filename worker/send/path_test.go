package send

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/estimatetest"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// show is a stream to one viewer behind a simulated path, on the rig's clock.
type show struct {
	*rig
	w        *watcher
	path     *estimatetest.Path
	read     uint64           // packets that were read from the socket
	pictures map[uint32]*fate // by RTP time
	asked    int              // key frames, when the last one was sent
	report   time.Duration    // when the next feedback comes
}

// fate is what became of the packets of one picture.
type fate struct{ sent, came, ends int }

// toll is what became of the pictures of a while.
type toll struct {
	offered, begun, complete, whole int
	packets, lost                   int
}

// play offers pictures of a size at 60 Hz; what is asked for as a key frame comes.
func (s *show) play(span time.Duration, size int) (got toll) {
	s.t.Helper()
	s.pictures = map[uint32]*fate{}
	sent, lost := s.path.Sent, s.path.Lost
	for end := s.now + span; s.now < end; got.offered++ {
		key := s.w.asked > s.asked
		s.asked = s.w.asked
		s.sender.Video(Frame{Codec: packetize.H264, Data: accessUnit(size, key), Key: key, PTS: s.now})
		s.until(s.now + time.Second/60)
	}
	s.until(s.now + 600*time.Millisecond) // what waits
	for _, p := range s.pictures {
		got.begun++
		if p.ends == 1 {
			got.complete++
		}
		if p.came == p.sent {
			got.whole++
		}
	}
	got.packets, got.lost = s.path.Sent-sent, s.path.Lost-lost
	return got
}

// until takes all turns up to a moment and carries what they send.
func (s *show) until(end time.Duration) {
	s.t.Helper()
	for next := s.now; next < end; {
		s.advance(max(0, next-s.now))
		if s.now >= s.report {
			s.report = s.now + 50*time.Millisecond
			if b := s.path.Report(s.now); b != nil {
				if err := s.w.Feedback(b, videoSSRC); err != nil {
					s.t.Fatal(err)
				}
			}
		}
		if next = s.sender.Turn(s.now); next == 0 {
			next = end
		}
		s.carry()
	}
	s.advance(end - s.now)
}

// carry reads what was sent, and puts it on the path.
func (s *show) carry() {
	s.t.Helper()
	for n := s.w.Stats().Packets; s.read < n; s.read++ {
		raw := s.w.raw()
		var h rtp.Header
		if _, err := h.Unmarshal(raw); err != nil {
			s.t.Fatal(err)
		}
		p := s.pictures[h.Timestamp]
		if p == nil {
			p = new(fate)
			s.pictures[h.Timestamp] = p
		}
		p.sent++
		if h.Marker {
			p.ends++
		}
		if s.path.Send(binary.BigEndian.Uint16(h.GetExtension(3)), len(raw), s.now) {
			p.came++
		}
	}
}

// TestPaths sends 20 Mbit/s over paths that carry it, more or less well: all
// pictures leave. Over one that does not, as many leave as it carries, each to its
// end, and little of them is lost. When it is good again, all do.
func TestPaths(t *testing.T) {
	const size = 20_000_000 / 8 / 60
	stall := func(at time.Duration) time.Duration { // 250 ms of each second
		if in := at % time.Second; in < 250*time.Millisecond {
			return at - in + 250*time.Millisecond
		}
		return at
	}
	tests := map[string]struct {
		path estimatetest.Path
		all  bool // pictures leave
	}{
		"wide":                     {estimatetest.Path{Rate: 30_000_000, Delay: 10 * time.Millisecond}, true},
		"receiver stalls":          {estimatetest.Path{Read: stall}, true},
		"jitter and loss":          {estimatetest.Path{Rate: 30_000_000, Jitter: 20 * time.Millisecond, Loss: 0.02}, true},
		"5 Mbit/s, queue of 50 ms": {estimatetest.Path{Rate: 5_000_000, Queue: 50 * time.Millisecond, Delay: 10 * time.Millisecond}, false},
		"12 Mbit/s, long queue":    {estimatetest.Path{Rate: 12_000_000, Queue: 400 * time.Millisecond, Delay: 10 * time.Millisecond}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "127.0.0.1", batch.Config{})
			s := &show{rig: r, w: r.watch(videoStream(), Stream{}, seal.AEADAES128GCM), path: &test.path}
			s.play(6*time.Second, size)
			got := s.play(8*time.Second, size)
			t.Logf("%+v, %d bit/s", got, s.w.Stats().Rate)
			if got.complete != got.begun {
				t.Errorf("%d pictures of %d without an end", got.begun-got.complete, got.begun)
			}
			if test.all {
				if got.begun != got.offered || s.w.Stats().Rate != 0 || s.w.Stats().FramesDroppedSlow > 0 {
					t.Errorf("%d pictures of %d, %d bit/s", got.begun, got.offered, s.w.Stats().Rate)
				}
				return
			}
			carried := int(test.path.Rate) * 8 / 60 * 60 / 8 / size
			if got.begun < carried*6/10 || got.whole*10 < got.begun*9 || got.lost*100 > 3*got.packets {
				t.Errorf("%d whole of %d, the path carries %d; %d packets of %d lost", got.whole, got.begun, carried, got.lost, got.packets)
			}
			s.path.Rate = 0
			s.play(14*time.Second, size)
			if got := s.play(2*time.Second, size); got.whole != got.offered {
				t.Errorf("%d whole of %d once the path is good again", got.whole, got.offered)
			}
		})
	}
}
