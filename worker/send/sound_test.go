package send

import (
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

const packet = 10 * time.Millisecond

func TestSoundTime(t *testing.T) {
	var z timing
	tests := []struct {
		name     string
		pts      time.Duration
		duration time.Duration
		time     uint32
		jump     bool
	}{
		{"first", time.Second, packet, 0, true},
		{"next", time.Second + packet, packet, 480, false},
		{"a little late", time.Second + 25*time.Millisecond, packet, 960, false},
		{"back in step", time.Second + 3*packet, packet, 1440, false},
		{"after a gap of 200 ms", time.Second + 24*packet, packet, 1920 + 20*480, true},
		{"next", time.Second + 25*packet, packet, 2400 + 20*480, false},
		{"another clock", time.Millisecond, packet, 2880 + 20*480, false},
		{"next", time.Millisecond + packet, 5 * time.Millisecond, 3360 + 20*480, false},
		{"half as long", time.Millisecond + packet + 5*time.Millisecond, packet, 3600 + 20*480, false},
	}
	for i, test := range tests {
		p, ok := z.next(Sound{PTS: test.pts, Duration: test.duration}, 2*time.Second+time.Duration(i)*packet)
		if !ok || p.time != test.time || p.jump != test.jump {
			t.Errorf("%s: time %d, jump %v, want %d, %v", test.name, p.time, p.jump, test.time, test.jump)
		}
	}
}

// TestSoundSmooth delivers packets as an engine does, one or two with each tick of
// 60 Hz: they leave 10 ms apart, none is held for more than a tick.
func TestSoundSmooth(t *testing.T) {
	var z timing
	var last, worst time.Duration
	made := time.Hour
	n := 0
	for tick := time.Hour; tick < time.Hour+10*time.Second; tick += time.Second / 60 {
		for ; made+packet <= tick; made += packet {
			p, ok := z.next(Sound{PTS: made, Duration: packet}, tick)
			if !ok {
				t.Fatal("refused")
			}
			if held := p.due - tick; held < 0 || held > maxHold {
				t.Fatalf("packet %d is held for %s", n, held)
			}
			if n++; n > 100 {
				worst = max(worst, (p.due - last - packet).Abs())
			}
			last = p.due
		}
	}
	if worst > 2*time.Millisecond {
		t.Errorf("packets leave up to %s beside the beat", worst)
	}
}

// TestSoundLeaves checks that packets wait for their time and then go out in one
// turn with what else is due, to all.
func TestSoundLeaves(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(Stream{}, audioStream(), seal.AEADAES128GCM)
	deaf := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	pts := r.now
	r.advance(2 * packet) // both packets are there
	r.sender.Audio(Sound{Data: []byte{1, 2, 3}, PTS: pts, Duration: packet})
	r.sender.Audio(Sound{Data: []byte{4, 5}, PTS: pts + packet, Duration: packet})
	next := r.sender.Turn(r.now)
	first := w.receive()
	w.silent()
	if wait := next - r.now; wait < 9*time.Millisecond || wait > packet {
		t.Fatalf("the second packet waits for %s", wait)
	}
	r.advance(next - r.now - slack)
	if r.sender.Turn(r.now) != 0 {
		t.Error("something else is due")
	}
	second := w.receive()
	if !first.Marker || second.Marker || second.Timestamp-first.Timestamp != 480 || second.SequenceNumber != first.SequenceNumber+1 {
		t.Errorf("%+v after %+v", second.Header, first.Header)
	}
	if len(first.Payload) != 3 || len(second.Payload) != 2 || first.SSRC != audioSSRC {
		t.Errorf("%v, %v", first, second)
	}
	deaf.silent()
	if w.Stats().Sounds != 2 || deaf.Stats().Sounds != 0 {
		t.Error("counted wrong")
	}
}

func TestSoundQueue(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(Stream{}, audioStream(), seal.AEADAES128GCM)
	for i := range soundQueue + 2 {
		r.sender.Audio(Sound{Data: []byte{byte(i)}, PTS: r.now, Duration: packet})
		r.advance(packet)
	}
	r.turns()
	for i := range soundQueue {
		if got := w.receive().Payload[0]; got != byte(i+2) {
			t.Errorf("packet %d comes as number %d", got, i)
		}
	}
	w.silent()
	if w.Stats().SoundsDropped != 2 {
		t.Errorf("%+v", w.Stats())
	}
}

// TestReports checks that the NTP and RTP times of sender reports name the same
// moment, by the times of packets that were received.
func TestReports(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), audioStream(), seal.AEADAES128GCM)
	r.turns()
	if len(w.reports) != 0 {
		t.Fatal("a report before anything was sent")
	}
	var video, audio uint32
	for i := range 150 { // 2.5 s
		picture := accessUnit(500, i == 0)
		r.picture(picture, i == 0)
		pts := r.now
		r.sender.Turn(r.now)
		p := w.want(picture, maxPayload)[0]
		video = p.Timestamp - videoTime(pts) // what the stream added
		r.sender.Audio(Sound{Data: []byte{9}, PTS: time.Hour + time.Duration(i)*packet, Duration: packet})
		r.sender.Turn(r.now)
		r.advance(20 * time.Millisecond)
		r.sender.Turn(r.now)
		audio = w.receive().Timestamp - uint32(i)*480
		if len(w.reports) > 0 && w.reports[len(w.reports)-1].NTPTime>>32 < ntp(r.wall)>>32-1 {
			t.Fatal("no report for more than a second")
		}
	}
	var seen [2]int
	began := ntp(r.wall.Add(time.Hour - r.now)) // NTP time of PTS 1 h
	for _, report := range w.reports {
		since := time.Duration(float64(report.NTPTime-began) / (1 << 32) * float64(time.Second))
		want, k := video+videoTime(time.Hour+since), 0
		if report.SSRC == audioSSRC {
			want, k = audio+uint32(since*soundClock/time.Second), 1
		}
		seen[k]++
		if off := int32(report.RTPTime - want); off < -100 || off > 100 {
			t.Errorf("report %+v: RTP time is off by %d", report, off)
		}
		if report.PacketCount == 0 || report.OctetCount == 0 {
			t.Errorf("%+v", report)
		}
	}
	if seen[0] < 3 || seen[1] < 3 {
		t.Errorf("%d reports of video, %d of sound in 5 s", seen[0], seen[1])
	}
}
