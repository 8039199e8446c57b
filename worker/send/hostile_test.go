package send

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// TestHostile has one browser send RTCP as fast as it can for two seconds, of each
// kind that makes us do something: what that costs is bounded, and a browser that
// behaves sees nothing of it.
func TestHostile(t *testing.T) {
	const seconds = 2
	all := make([]rtcp.NackPair, 200)
	for i := range all {
		all[i] = rtcp.NackPair{PacketID: uint16(i * 17), LostPackets: 0xffff}
	}
	reference := &rtcp.ExtendedReport{SenderSSRC: 1, Reports: []rtcp.ReportBlock{&rtcp.ReceiverReferenceTimeReportBlock{NTPTimestamp: 5}}}
	runs := transportFeedback(0, 8000, 0, 0)
	runs.PacketChunks, runs.RecvDeltas = []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{RunLength: 8000}}, nil
	runs.Header.Length = uint16(runs.MarshalSize()/4 - 1)
	floods := map[string][]rtcp.Packet{
		"resends of everything": {&rtcp.TransportLayerNack{MediaSSRC: videoSSRC, Nacks: all}},
		"PLI":                   {&rtcp.PictureLossIndication{MediaSSRC: videoSSRC}, &rtcp.PictureLossIndication{MediaSSRC: videoSSRC}},
		"FIR":                   {&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: videoSSRC, SequenceNumber: 7}}}},
		"transport feedback":    {runs},
		"reference times":       {&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: videoSSRC}}}, reference, reference, reference},
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "127.0.0.1", batch.Config{})
			good := r.watch(withRTX(videoStream()), audioStream(), seal.AEADAES128GCM)
			bad := r.watch(withRTX(videoStream()), Stream{}, seal.AEADAES128GCM)
			b, err := rtcp.Marshal(flood)
			if err != nil {
				t.Fatal(err)
			}
			before, wakes := bad.asked, 0
			for i := range seconds * 60 {
				picture := accessUnit(9_000, i == 0)
				if !r.picture(picture, i == 0) {
					t.Fatal("not taken")
				}
				r.turns()
				good.want(picture, maxPayload)
				for range 2 * inboxSize {
					if err := bad.Feedback(b, videoSSRC); err != nil {
						t.Fatal(err)
					}
					select {
					case <-r.sender.wake:
						wakes++
						r.turns()
					default:
					}
				}
			}
			got := bad.Stats()
			if most := seconds*(wakeRate+60) + maxWakes; wakes > most {
				t.Errorf("%d turns because of it, at most %d", wakes, most)
			}
			if most := uint64(seconds*nameRate + maxNamed); got.RefusedUnknown+got.RefusedGone+got.RefusedSoon+got.ResentRTX > most {
				t.Errorf("%+v: more than %d packets looked at", got.Counts, most)
			}
			if most := 2 + maxAsks + seconds*askRate; bad.asked-before > most {
				t.Errorf("%d key frames, at most %d", bad.asked-before, most)
			}
			if most := maxAnswers + seconds*answerRate; len(bad.answers) > most {
				t.Errorf("%d reports, at most %d", len(bad.answers), most)
			}
			if most := uint64(budgetBytes+seconds*budgetRate)/1000 + 1; got.ResentRTX > most {
				t.Errorf("%d packets sent again, at most %d", got.ResentRTX, most)
			}
			if got.FeedbackDropped == 0 {
				t.Errorf("%+v: nothing of it was dropped", got.Counts)
			}
			if calm := good.Stats(); calm.Frames != seconds*60 || good.asked != 1 || calm.Unsent+calm.FramesDroppedSlow != 0 {
				t.Errorf("the other browser: %+v, %d key frames asked for", calm.Counts, good.asked)
			}
		})
	}
}

// TestWakes sends requests slower than the bound: each has its turn at once.
func TestWakes(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	<-r.sender.wake
	for i := range 2 * maxWakes {
		r.advance(2 * time.Second / wakeRate)
		w.feed(videoSSRC, nack(uint16(i)))
		select {
		case <-r.sender.wake:
		default:
			t.Fatalf("request %d does not wake the sender", i)
		}
		r.turns()
	}
	w.feed(videoSSRC, &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: videoSSRC}}})
	w.feed(videoSSRC, transportFeedback(0, 10, 0, 0))
	w.feed(videoSSRC, &rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1e6, SSRCs: []uint32{videoSSRC}})
	select {
	case <-r.sender.wake:
		t.Error("a report that can wait wakes the sender")
	default:
	}
}
