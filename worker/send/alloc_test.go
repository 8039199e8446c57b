package send

import (
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// TestNoAllocations takes a picture, sound and a NACK from Video to the socket.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := newRig(t, "127.0.0.1", batch.Config{})
	to, picture, sound := sink(t), accessUnit(41_000, false), make([]byte, 120)
	var viewers []*Viewer
	for range 3 {
		v := NewViewer(ViewerConfig{Video: withRTX(videoStream()), Audio: audioStream()})
		r.sender.Attach(v)
		openFast(t, v, r.conn, to, seal.AEADAES128GCM)
		viewers = append(viewers, v)
	}
	r.picture(accessUnit(41_000, true), true)
	lost := []byte{0x81, 205, 0, 3, 0, 0, 0, 1, 0x11, 0x11, 0x11, 0x11, 0, 0, 0, 0}
	frame := func() {
		r.advance(time.Second / 60)
		r.sender.Video(Frame{Codec: packetize.H264, Data: picture, PTS: r.now})
		r.sender.Audio(Sound{Data: sound, PTS: r.now, Duration: packet})
		r.turns()
		for _, v := range viewers {
			last := uint16(v.video.index - 1)
			lost[12], lost[13] = byte(last>>8), byte(last)
			if err := v.Feedback(lost, videoSSRC); err != nil {
				t.Fatal(err)
			}
		}
		r.turns()
	}
	for range 20 {
		frame()
	}
	if n := testing.AllocsPerRun(200, frame); n != 0 {
		t.Errorf("%v allocations per picture", n)
	}
	if got := viewers[0].Stats(); got.ResentRTX < 200 || got.SealErrors != 0 {
		t.Errorf("%+v", got)
	}
}
