package send

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// TestOrder has everything due in one turn: a resend and sound come before the
// picture, to every viewer.
func TestOrder(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	all := []*watcher{
		r.watch(withRTX(videoStream()), audioStream(), seal.AEADAES128GCM),
		r.watch(withRTX(videoStream()), audioStream(), seal.AES128CMHMACSHA180),
	}
	first, second := accessUnit(900, true), accessUnit(9_000, false)
	r.picture(first, true)
	r.turns()
	for _, w := range all {
		w.feed(videoSSRC, nack(w.want(first, maxPayload)[0].SequenceNumber))
	}
	r.picture(second, false)
	r.sender.Audio(Sound{Data: []byte{7}, PTS: r.now, Duration: packet})
	r.turns()
	for _, w := range all {
		number := binary.BigEndian.Uint16(w.receive().GetExtension(3)) // the resend
		sound := w.receive()
		if sound.SSRC != audioSSRC || binary.BigEndian.Uint16(sound.GetExtension(3)) != number+1 {
			t.Errorf("second comes %+v", sound.Header)
		}
		picture := w.want(second, maxPayload)
		if binary.BigEndian.Uint16(picture[0].GetExtension(3)) != number+2 {
			t.Error("sound and picture do not share one transport-wide number space")
		}
	}
}

// TestChunksOnTheWire checks what leaves with each turn, and that sound in between
// need not wait for the rest of the picture.
func TestChunksOnTheWire(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), audioStream(), seal.AEADAES128GCM)
	picture := accessUnit(36*1165, true)
	r.picture(picture, true)
	began := r.now
	next := r.sender.Turn(r.now)
	if got := w.Stats(); got.Packets != 12 || got.Frames != 0 {
		t.Fatalf("%d packets at once", got.Packets)
	}
	if next-r.now != time.Millisecond-slack && next-r.now != time.Millisecond {
		t.Errorf("next turn in %s", next-r.now)
	}
	r.sender.Audio(Sound{Data: []byte{7}, PTS: r.now, Duration: packet})
	r.sender.Turn(r.now)
	if got := w.Stats(); got.Sounds != 1 || got.Packets != 13 {
		t.Errorf("sound waits: %+v", got.Counts)
	}
	r.turns()
	if got := w.Stats(); got.Frames != 1 || got.Packets != 37 || r.now-began > 4*time.Millisecond {
		t.Errorf("%d packets after %s", got.Packets, r.now-began)
	}
	if got := r.sender.cfg.Stats.Snapshot(); got.Latency[3] != 1 || got.LatencySum != r.now-began {
		t.Errorf("latency %v, sum %s", got.Latency, got.LatencySum)
	}
	if got := w.Stats().Bursts; got != 4 {
		t.Errorf("%d runs, want one for each chunk and one of sound", got)
	}
}

// TestCodecs has viewers of two codecs in one room; each gets its own.
func TestCodecs(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	vp8 := videoStream()
	vp8.Codec = packetize.VP8
	old := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	w := r.watch(vp8, Stream{}, seal.AEADAES128GCM)
	for i := range 3 {
		frame := append([]byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0}, bytes.Repeat([]byte{byte(i)}, 3000)...)
		if !r.sender.Video(Frame{Codec: packetize.VP8, Data: frame, Key: true, PTS: r.now}) {
			t.Fatal("not taken")
		}
		r.turns()
		var whole []byte
		for marker := false; !marker; {
			p := w.receive()
			var d codecs.VP8Packet
			payload, err := d.Unmarshal(p.Payload)
			if err != nil || d.PictureID != uint16(i) {
				t.Fatalf("picture %d: number %d: %v", i, d.PictureID, err)
			}
			whole, marker = append(whole, payload...), p.Marker
		}
		if !bytes.Equal(whole, frame) {
			t.Fatalf("picture %d: other bytes", i)
		}
	}
	old.silent()
}

// TestTwoSockets has viewers on IPv4 and IPv6 in one room.
func TestTwoSockets(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	a := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	r.addr, r.conn = "::1", listen(t, "::1", batch.Config{})
	b := r.watch(videoStream(), Stream{}, seal.AEADAES256GCM)
	for i := range 5 {
		picture := accessUnit(30_000, i == 0)
		r.picture(picture, i == 0)
		r.turns()
		a.want(picture, maxPayload)
		b.want(picture, maxPayload)
	}
}

// transportFeedback says that packets begin..begin+n-1 came, spread evenly over
// that long, the first one after delay.
func transportFeedback(begin uint16, n int, at time.Duration, spread time.Duration) *rtcp.TransportLayerCC {
	m := &rtcp.TransportLayerCC{
		MediaSSRC: videoSSRC, BaseSequenceNumber: begin, PacketStatusCount: uint16(n),
		ReferenceTime: uint32(at / (64 * time.Millisecond)),
		PacketChunks:  []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedLargeDelta, RunLength: uint16(n)}},
	}
	delta := at % (64 * time.Millisecond)
	for range n {
		m.RecvDeltas = append(m.RecvDeltas, &rtcp.RecvDelta{Type: rtcp.TypeTCCPacketReceivedLargeDelta, Delta: delta.Microseconds() / 250 * 250})
		delta = spread / time.Duration(n)
	}
	size := m.MarshalSize()
	m.Header = rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: uint16(size/4 - 1)}
	return m
}

// TestTransportFeedback reports a queue that grows: the pacer slows down.
func TestTransportFeedback(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	delay := time.Duration(0)
	for i := range 180 {
		picture := accessUnit(20_000, i == 0)
		r.picture(picture, i == 0)
		sent := r.now
		r.turns()
		got := w.want(picture, maxPayload)
		if i > 60 {
			delay += 15 * time.Millisecond // 20 kB take 31 ms: 5 Mbit/s
		}
		begin := binary.BigEndian.Uint16(got[0].GetExtension(3))
		w.feed(videoSSRC, transportFeedback(begin, len(got), sent+delay, 15*time.Millisecond))
		r.turns()
		if rate := w.Stats().Rate; i < 60 && rate != 0 {
			t.Fatalf("%d bit/s although nothing queues", rate)
		}
		if w.Stats().Rate > 0 {
			break
		}
	}
	rate := w.Stats().Rate
	if rate < 1_000_000 || rate > 9_000_000 {
		t.Fatalf("%d bit/s", rate)
	}
	began := r.now
	r.picture(accessUnit(60_000, true), true)
	r.turns()
	if took, least := r.now-began, time.Duration(60_000*8*int64(time.Second)/rate)/2; took < least {
		t.Errorf("60 kB leave within %s at %d bit/s", took, rate)
	}
}

// TestLossWithoutTransportFeedback limits a viewer by its receiver reports alone.
func TestLossWithoutTransportFeedback(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	video := videoStream()
	video.TWCC = 0
	w := r.watch(video, Stream{}, seal.AEADAES128GCM)
	report := func(fraction uint8) int64 {
		for range 60 {
			picture := accessUnit(20_000, true)
			r.picture(picture, true)
			r.turns()
			if p := w.want(picture, maxPayload)[0]; p.GetExtension(3) != nil {
				t.Fatal("a transport-wide number that was not negotiated")
			}
		}
		w.feed(videoSSRC, &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: videoSSRC, FractionLost: fraction}}})
		r.turns()
		return w.Stats().Rate
	}
	if got := report(10) + report(10); got != 0 {
		t.Errorf("%d bit/s at 4 %% of loss", got)
	}
	if got := report(128); got != 0 {
		t.Errorf("%d bit/s after one report of much loss", got)
	}
	if got := report(128); got < 3_000_000 || got > 6_000_000 {
		t.Errorf("%d bit/s when half of 8 to 10 Mbit/s is lost", got)
	}
}

// TestResendAcrossRollover asks for the last packets before the sequence number
// starts again, after it did.
func TestResendAcrossRollover(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(withRTX(videoStream()), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(1_000, true)
	r.picture(picture, true)
	r.turns()
	w.want(picture, maxPayload)
	// As if all the packets up to here had been sent; the receiver has to see a
	// packet of each half of the numbers to count rollovers.
	for _, index := range []uint64{40_000, 65_500} {
		w.video.index = index
		r.picture(picture, true)
		r.turns()
		w.want(picture, maxPayload)
	}
	large := accessUnit(80_000, true)
	r.picture(large, true)
	r.turns()
	sent := w.want(large, maxPayload)
	if sent[0].SequenceNumber < 65_000 || sent[len(sent)-1].SequenceNumber > 100 {
		t.Fatalf("from %d to %d", sent[0].SequenceNumber, sent[len(sent)-1].SequenceNumber)
	}
	for _, lost := range []*rtp.Packet{sent[0], sent[30], sent[len(sent)-1]} {
		w.feed(videoSSRC, nack(lost.SequenceNumber))
		r.turns()
		again := w.receive()
		if binary.BigEndian.Uint16(again.Payload) != lost.SequenceNumber || !bytes.Equal(again.Payload[2:], lost.Payload) {
			t.Errorf("not packet %d", lost.SequenceNumber)
		}
	}
}

// TestReusedIndex goes back in the numbers, which must never happen: nothing is
// sent, and the viewer goes on with a key frame once the numbers are right.
func TestReusedIndex(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(5_000, true)
	r.picture(picture, true)
	r.turns()
	w.want(picture, maxPayload)
	right := w.video.index
	w.video.index -= 2
	asked := w.asked
	r.picture(picture, false)
	r.turns()
	w.silent()
	if got := w.Stats(); got.SealErrors != 1 || got.Frames != 1 || w.asked != asked+1 {
		t.Errorf("%+v, %d key frames asked for", got.Counts, w.asked-asked)
	}
	w.video.index = right
	if r.picture(picture, false) {
		t.Error("went on without a key frame")
	}
	r.picture(picture, true)
	r.turns()
	w.want(picture, maxPayload)
}

// TestConcurrent does everything at once; the race detector looks on.
func TestConcurrent(t *testing.T) {
	stats := new(Stats)
	s := New(Config{Stats: stats})
	conn, to := listen(t, "127.0.0.1", batch.Config{}), sink(t)
	ctx, cancel := context.WithCancel(t.Context())
	var running, busy sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	key, salt := keys(seal.AEADAES128GCM)
	lost, err := rtcp.Marshal([]rtcp.Packet{nack(1, 2, 3), &rtcp.PictureLossIndication{MediaSSRC: videoSSRC}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		busy.Go(func() {
			for n := range 30 {
				v := NewViewer(ViewerConfig{Video: withRTX(videoStream()), Audio: audioStream(), Report: func([]rtcp.Packet) error { return nil }})
				path := Path{Conn: conn, Remote: to, Profile: seal.AEADAES128GCM, Key: key, Salt: salt}
				if i == 0 {
					discard := func(*rtp.Header, []byte) error { return nil }
					path = Path{Video: discard, Audio: discard}
				}
				if n%2 == 0 {
					s.Attach(v)
				}
				if err := v.Open(path); err != nil {
					t.Error(err)
				}
				s.Attach(v)
				for range 5 {
					_ = v.Feedback(lost, videoSSRC)
					_ = v.Open(path)
					_ = v.Stats()
					_ = stats.Snapshot()
				}
				if n%3 == 0 {
					s.Detach(v)
				}
				v.Close()
				s.Detach(v)
			}
		})
	}
	done := make(chan struct{})
	running.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			s.Video(Frame{Codec: packetize.H264, Data: accessUnit(20_000, true), Key: i%2 == 0, PTS: s.cfg.Now()})
			s.Audio(Sound{Data: []byte{1}, PTS: s.cfg.Now(), Duration: packet})
		}
	})
	busy.Wait()
	close(done)
	cancel()
	running.Wait()
	got := stats.Snapshot()
	if got.ViewersFast != 0 || got.ViewersFallback != 0 || got.SealErrors != 0 || got.Unsent != 0 {
		t.Errorf("%+v", got)
	}
	if len(*s.viewers.Load()) != 0 {
		t.Error("viewers are left")
	}
}
