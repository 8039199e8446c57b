package send

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// TestPatience names more packets than one turn looks at.
func TestPatience(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	r.picture(accessUnit(500, true), true)
	r.turns()
	var compound []rtcp.Packet
	for range 10 { // of 510 packets each
		m := &rtcp.TransportLayerNack{MediaSSRC: videoSSRC}
		for i := range 30 {
			m.Nacks = append(m.Nacks, rtcp.NackPair{PacketID: uint16(w.video.index) + uint16(i), LostPackets: 0xffff})
		}
		compound = append(compound, m)
	}
	w.feed(videoSSRC, compound...)
	r.turns()
	if got := w.Stats(); got.RefusedUnknown != maxNamed || got.FeedbackDropped != 2 {
		t.Errorf("%d looked at, %d dropped", got.RefusedUnknown, got.FeedbackDropped)
	}
	r.advance(time.Second)
	w.feed(videoSSRC, transportFeedback(0, 350, 0, 0), transportFeedback(350, 100, 0, 0))
	r.turns()
	if got := w.Stats(); got.FeedbackDropped != 2 {
		t.Errorf("%d dropped a second later", got.FeedbackDropped)
	}
	many := transportFeedback(0, 8000, 0, 0)
	many.PacketChunks = []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{RunLength: 8000}}
	many.RecvDeltas = nil
	many.Header.Length = uint16(many.MarshalSize()/4 - 1)
	w.feed(videoSSRC, many)
	r.turns()
	if got := w.Stats(); got.FeedbackDropped != 3 {
		t.Errorf("%d dropped, want the feedback on 8000 packets among them", got.FeedbackDropped)
	}
}

// TestFeedback checks what each kind of RTCP does, and that a block for another
// stream does nothing.
func TestFeedback(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), audioStream(), seal.AEADAES128GCM)
	asked := w.asked
	tests := []struct {
		name   string
		ssrc   uint32
		packet rtcp.Packet
		keys   int
	}{
		{"PLI", videoSSRC, &rtcp.PictureLossIndication{MediaSSRC: videoSSRC}, 1},
		{"FIR", videoSSRC, &rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: videoSSRC, SequenceNumber: 7}}}, 1},
		{"PLI for another stream", videoSSRC, &rtcp.PictureLossIndication{MediaSSRC: audioSSRC}, 0},
		{"PLI that pion gives to the other stream too", audioSSRC, &rtcp.PictureLossIndication{MediaSSRC: videoSSRC}, 0},
		{"PLI for nobody", 5, &rtcp.PictureLossIndication{MediaSSRC: 5}, 0},
	}
	for _, test := range tests {
		w.feed(test.ssrc, test.packet)
		r.turns()
		if asked += test.keys; w.asked != asked {
			t.Errorf("%s: %d key frames asked for, want %d", test.name, w.asked, asked)
			asked = w.asked
		}
	}
	if got := w.Stats().KeyFramesAsked; got != 2 {
		t.Errorf("%d key frames counted", got)
	}
	if err := w.Feedback([]byte{0x81, 206, 0, 9}, videoSSRC); err == nil || w.Stats().FeedbackBad != 1 {
		t.Error("malformed RTCP went by unnoticed")
	}
}

// TestTransportFeedbackOnce gives one packet to both streams, as pion does when
// reports on both are in it: what was lost is lost once.
func TestTransportFeedbackOnce(t *testing.T) {
	for _, media := range []uint32{videoSSRC, audioSSRC} {
		r := newRig(t, "127.0.0.1", batch.Config{})
		w := r.watch(videoStream(), audioStream(), seal.AEADAES128GCM)
		r.turns()
		m := transportFeedback(0, 100, 0, 0)
		m.MediaSSRC = media
		w.feed(videoSSRC, m)
		w.feed(audioSSRC, m)
		r.turns()
		if w.names.used != 100 {
			t.Errorf("for %x: %d packets were looked at, want 100", media, w.names.used)
		}
	}
}

// TestInbox overflows it: what is too much is dropped, nothing blocks.
func TestInbox(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	asked := w.asked
	for range inboxSize + 3 {
		w.feed(videoSSRC, &rtcp.PictureLossIndication{MediaSSRC: videoSSRC})
	}
	r.turns()
	if got := w.Stats(); got.FeedbackDropped != 3 || got.KeyFramesAsked != inboxSize {
		t.Errorf("%d dropped, %d acted on", got.FeedbackDropped, got.KeyFramesAsked)
	}
	if got := w.Stats(); w.asked-asked != maxAsks || got.KeyFramesRefused != inboxSize-maxAsks {
		t.Errorf("%d key frames asked for, %d refused", w.asked-asked, got.KeyFramesRefused)
	}
	w.feed(videoSSRC, &rtcp.PictureLossIndication{MediaSSRC: videoSSRC})
	r.turns()
	if w.Stats().KeyFramesAsked != inboxSize+1 {
		t.Error("the inbox stays full")
	}
}

// TestReferenceTime lets a browser measure the round trip: its time comes back at
// once, and only once where pion gives the packet to both streams.
func TestReferenceTime(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), audioStream(), seal.AEADAES128GCM)
	asks := &rtcp.ExtendedReport{SenderSSRC: 0xb0b, Reports: []rtcp.ReportBlock{
		&rtcp.ReceiverReferenceTimeReportBlock{NTPTimestamp: 0x1111_2222_3333_4444},
	}}
	for _, ssrc := range []uint32{videoSSRC, audioSSRC} {
		w.feed(ssrc, asks)
	}
	r.turns()
	if len(w.answers) != 1 || w.answers[0].SenderSSRC != videoSSRC || len(w.answers[0].Reports) != 1 {
		t.Fatalf("answered %+v", w.answers)
	}
	answer, ok := w.answers[0].Reports[0].(*rtcp.DLRRReportBlock)
	if want := (rtcp.DLRRReport{SSRC: 0xb0b, LastRR: 0x2222_3333}); !ok || len(answer.Reports) != 1 || answer.Reports[0] != want {
		t.Errorf("answered %+v", w.answers[0].Reports[0])
	}
}

// TestReceiverReport checks round trip and loss, and that NTP times come back
// right from what a sender report said.
func TestReceiverReport(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	r.picture(accessUnit(500, true), true)
	r.turns()
	r.picture(accessUnit(500, false), false)
	r.turns()
	if len(w.reports) == 0 {
		t.Fatal("no sender report")
	}
	sent := w.reports[0]
	r.advance(130 * time.Millisecond)
	w.feed(videoSSRC, &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{
		SSRC: videoSSRC, FractionLost: 64, LastSenderReport: uint32(sent.NTPTime >> 16), Delay: 65536 / 10,
	}}})
	r.turns()
	got := w.Stats()
	if got.RoundTrip < 29*time.Millisecond || got.RoundTrip > 47*time.Millisecond || got.Loss != 0.25 {
		t.Errorf("round trip %s, loss %v", got.RoundTrip, got.Loss)
	}
}

// FuzzFeedback gives a viewer whatever a browser might send.
func FuzzFeedback(f *testing.F) {
	for _, p := range []rtcp.Packet{
		nack(1, 2, 3, 0xffff), &rtcp.PictureLossIndication{MediaSSRC: videoSSRC},
		&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: videoSSRC}}},
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: videoSSRC, FractionLost: 255, LastSenderReport: 9}}},
		&rtcp.ExtendedReport{SenderSSRC: 1, Reports: []rtcp.ReportBlock{&rtcp.ReceiverReferenceTimeReportBlock{NTPTimestamp: 5}}},
		&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1e6, SSRCs: []uint32{videoSSRC}},
		&rtcp.TransportLayerCC{
			Header: rtcp.Header{Count: 15, Type: 205, Length: 5}, MediaSSRC: videoSSRC, PacketStatusCount: 2,
			PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: 1, RunLength: 2}},
			RecvDeltas:   []*rtcp.RecvDelta{{Type: 1, Delta: 250}, {Type: 1, Delta: 250}},
		},
	} {
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	r := newRig(f, "127.0.0.1", batch.Config{})
	video := r.watch(withRTX(videoStream()), audioStream(), seal.AEADAES128GCM)
	r.picture(accessUnit(20_000, true), true)
	r.turns()
	f.Fuzz(func(t *testing.T, b []byte) {
		before := video.Stats()
		_ = video.Feedback(b, videoSSRC)
		r.advance(time.Millisecond)
		r.turns()
		after := video.Stats()
		if sent := after.Bytes - before.Bytes; sent > budgetBytes {
			t.Fatalf("%d bytes of RTCP made us send %d", len(b), sent)
		}
		if after.SealErrors != 0 {
			t.Fatal("a packet could not be sealed")
		}
	})
}
