package send

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

func profiles() []seal.Profile {
	return []seal.Profile{seal.AEADAES128GCM, seal.AEADAES256GCM, seal.AES128CMHMACSHA180}
}

// TestResendPlain asks for packets of a browser without RTX: it gets the same
// bytes again.
func TestResendPlain(t *testing.T) {
	for _, p := range profiles() {
		t.Run(p.String(), func(t *testing.T) {
			r := newRig(t, "127.0.0.1", batch.Config{})
			w := r.watch(videoStream(), Stream{}, p)
			picture := accessUnit(5_000, true)
			r.picture(picture, true)
			r.turns()
			var sent [][]byte
			for range packetsOf(picture) {
				sent = append(sent, bytes.Clone(w.raw()))
			}
			for _, i := range []int{1, 3} {
				w.feed(videoSSRC, nack(binary.BigEndian.Uint16(sent[i][2:])))
				r.turns()
				if again := w.raw(); !bytes.Equal(again, sent[i]) {
					t.Errorf("packet %d: other bytes than the first time", i)
				}
			}
			if got := w.Stats(); got.ResentPlain != 2 || got.Packets != uint64(len(sent)+2) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestResendRTX checks RFC 4588 with pion's parser: payload type and SSRC of the
// retransmission stream, the original number before the original payload, own
// consecutive numbers, the next transport-wide number.
func TestResendRTX(t *testing.T) {
	for _, p := range profiles() {
		t.Run(p.String(), func(t *testing.T) {
			r := newRig(t, "127.0.0.1", batch.Config{})
			w := r.watch(withRTX(videoStream()), Stream{}, p)
			picture := accessUnit(5_000, true)
			r.picture(picture, true)
			r.turns()
			sent := w.want(picture, maxPayload)
			number := binary.BigEndian.Uint16(sent[len(sent)-1].GetExtension(3))
			var last uint16
			for i, lost := range sent {
				w.feed(videoSSRC, nack(lost.SequenceNumber))
				r.turns()
				again := w.receive()
				if again.SSRC != rtxSSRC || again.PayloadType != 97 || again.Timestamp != lost.Timestamp || again.Marker != lost.Marker {
					t.Errorf("packet %d: header %+v for %+v", i, again.Header, lost.Header)
				}
				if binary.BigEndian.Uint16(again.Payload) != lost.SequenceNumber || !bytes.Equal(again.Payload[2:], lost.Payload) {
					t.Errorf("packet %d: not the payload that was lost", i)
				}
				if number++; binary.BigEndian.Uint16(again.GetExtension(3)) != number {
					t.Errorf("packet %d: transport-wide number %x, want %x", i, again.GetExtension(3), number)
				}
				if i > 0 && again.SequenceNumber != last+1 {
					t.Errorf("packet %d: number %d after %d", i, again.SequenceNumber, last)
				}
				last = again.SequenceNumber
			}
			if got := w.Stats(); got.ResentRTX != uint64(len(sent)) || got.ResentPlain != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestResendRefused(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(100_000, true)
	r.picture(picture, true)
	r.turns()
	first := w.want(picture, maxPayload)[0].SequenceNumber
	newest := first
	for range 12 { // 1.2 MB, more than the ring holds
		r.picture(picture, true)
		r.turns()
		sent := w.want(picture, maxPayload)
		newest = sent[len(sent)-1].SequenceNumber
	}
	asked := w.asked
	tests := []struct {
		name     string
		sequence uint16
		count    func(Counts) uint64
		keys     int
	}{
		{"overwritten", first, func(c Counts) uint64 { return c.RefusedGone }, 1},
		{"never sent", newest + 1, func(c Counts) uint64 { return c.RefusedUnknown }, 0},
		{"long ago", newest - 20_000, func(c Counts) uint64 { return c.RefusedGone }, 1},
	}
	for _, test := range tests {
		before := test.count(w.Stats().Counts)
		w.feed(videoSSRC, nack(test.sequence))
		r.turns()
		w.silent()
		if got := test.count(w.Stats().Counts) - before; got != 1 {
			t.Errorf("%s: counted %d times", test.name, got)
		}
		if asked += test.keys; w.asked != asked {
			t.Errorf("%s: %d key frames asked for, want %d", test.name, w.asked, asked)
		}
	}
}

// TestResendOldest asks for the oldest packet that is left, in a turn that then
// gives its bytes in the ring away: it arrives as it was all the same.
func TestResendOldest(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(60_000, true)
	sent := make(map[uint16][]byte)
	newest := uint16(0)
	for range 12 { // 720 kB, more than the ring holds
		r.picture(picture, true)
		r.turns()
		for range packetsOf(picture) {
			raw := bytes.Clone(w.raw())
			newest = binary.BigEndian.Uint16(raw[2:])
			sent[newest] = raw
		}
	}
	oldest := newest
	for _, _, ok := w.video.ring.Get(oldest); ok; _, _, ok = w.video.ring.Get(oldest) {
		oldest--
	}
	oldest++
	w.feed(videoSSRC, nack(oldest))
	r.picture(picture, true)
	r.turns()
	if _, _, ok := w.video.ring.Get(oldest); ok {
		t.Fatal("the picture did not take its place")
	}
	if again := w.raw(); !bytes.Equal(again, sent[oldest]) {
		t.Errorf("packet %d comes again as other bytes", oldest)
	}
}

// TestResendSoon asks for one packet again and again.
func TestResendSoon(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(500, true)
	r.picture(picture, true)
	r.turns()
	lost := w.want(picture, maxPayload)[0].SequenceNumber
	ask := func() uint64 {
		w.feed(videoSSRC, nack(lost, lost))
		r.turns()
		return w.Stats().ResentPlain
	}
	if got := ask(); got != 1 {
		t.Fatalf("sent again %d times", got)
	}
	r.advance(leastRepeat - 1)
	if got := ask(); got != 1 {
		t.Errorf("sent again %d times within 10 ms", got)
	}
	r.advance(1)
	if got := ask(); got != 3 {
		t.Errorf("sent again %d times, want two more after 10 ms", got)
	}
	w.round.Store(int64(80 * time.Millisecond))
	r.advance(39 * time.Millisecond)
	if got := ask(); got != 3 {
		t.Errorf("sent again %d times within half a round trip", got)
	}
	r.advance(time.Millisecond)
	if got := ask(); got != 5 {
		t.Errorf("sent again %d times, want two more after half a round trip", got)
	}
}

// TestResendBudget lets a browser ask for everything: it gets what the budget
// allows, and more with time.
func TestResendBudget(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(250_000, true)
	r.picture(picture, true)
	r.turns()
	var all []uint16
	for _, p := range w.want(picture, maxPayload) {
		all = append(all, p.SequenceNumber)
	}
	w.feed(videoSSRC, nack(all...))
	r.turns()
	got := w.Stats()
	if bytes := got.ResentPlain * 1200; bytes > budgetBytes || bytes < budgetBytes-3000 {
		t.Errorf("%d packets sent again", got.ResentPlain)
	}
	if got.ResentPlain+got.RefusedBudget != uint64(len(all)) {
		t.Errorf("%+v", got.Counts)
	}
	r.advance(time.Second)
	w.feed(videoSSRC, nack(all[len(all)-50:]...))
	r.turns()
	if more := w.Stats().ResentPlain - got.ResentPlain; more != 50 {
		t.Errorf("%d packets after a second, want 50", more)
	}
}
