package peer

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// show runs a sender with the peer as its only viewer.
func show(t testing.TB, p *Peer) *send.Sender {
	t.Helper()
	s := send.New(send.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("sender: %v", err)
		}
	})
	s.Attach(p.Viewer())
	return s
}

func picture(data []byte, key bool, pts time.Duration) send.Frame {
	return send.Frame{Codec: packetize.H264, Data: data, Key: key, PTS: pts}
}

func TestPictureAndSound(t *testing.T) {
	tests := []struct {
		name string
		fast bool
		o    Options
	}{
		{"past pion", true, Options{}},
		{"past pion, SHA1", true, Options{SRTP: seal.AES128CMHMACSHA180}},
		{"through pion", false, Options{}},
		{"through pion, SHA1", false, Options{SRTP: seal.AES128CMHMACSHA180}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := listen(t, Config{})
			if !tt.fast {
				l.keysOf = func(*webrtc.DTLSTransport, bool) (srtpKeys, error) { return srtpKeys{}, errNoKeys }
			}
			w := newWatcher()
			p, b, _ := connectWith(t, l, w, tt.o, peertest.Options{})
			pictureAndSound(t, p, b)
			if s := p.Stats(); s.Fast != tt.fast || s.Frames != 2 || s.FramesDroppedWaiting != 1 || s.Bytes < 5300 || s.WriteErrors+s.Unsent != 0 {
				t.Errorf("Stats = %+v", s)
			}
			if len(w.keys) == 0 {
				t.Error("no key frame was asked for")
			}
		})
	}
}

func pictureAndSound(t *testing.T, p *Peer, b *peertest.Browser) {
	t.Helper()
	s := show(t, p)
	if p.Profile() != media.ProfileMain {
		t.Errorf("profile %v, want Main, which the browser offers last", p.Profile())
	}
	s.Video(picture(accessUnit(false, 10, 1), false, 0)) // undecodable: must not go out
	key, delta, pts := accessUnit(true, 5000, 2), accessUnit(false, 300, 3), 3*time.Hour
	if !s.Video(picture(key, true, pts)) || !s.Video(picture(delta, false, pts+time.Second)) {
		t.Error("pictures were not taken")
	}
	first := peertest.Wait(t, "a picture", b.Pictures)
	second := peertest.Wait(t, "a picture", b.Pictures)
	if !first.Key || !bytes.Equal(first.Data, key) || first.Packets < 5 {
		t.Errorf("first picture: key %v, %d bytes in %d packets", first.Key, len(first.Data), first.Packets)
	}
	if second.Key || !bytes.Equal(second.Data, delta) || second.Time-first.Time != 90000 {
		t.Errorf("second picture: key %v, %d bytes, %d later", second.Key, len(second.Data), second.Time-first.Time)
	}
	if first.Delayed || second.Delayed {
		t.Error("a packet came without playout-delay {0,0}")
	}
	const step = 10 * time.Millisecond
	for i := range 3 {
		s.Audio(send.Sound{Data: []byte{byte(i)}, PTS: time.Duration(i) * step, Duration: step})
	}
	s0, s1 := peertest.Wait(t, "sound", b.Sounds), peertest.Wait(t, "sound", b.Sounds)
	if s1.Time-s0.Time != 480 || !s0.Mark || s1.Mark || s1.Data[0] != 1 {
		t.Errorf("sounds %+v %+v", s0, s1)
	}
}

func TestKeyFrameRequests(t *testing.T) {
	l := listen(t, Config{})
	p, b, w, _ := connect(t, l, peertest.Options{})
	s := show(t, p)
	s.Video(picture(accessUnit(true, 10, 1), true, 0))
	peertest.Wait(t, "a picture", b.Pictures)
	for len(w.keys) > 0 {
		<-w.keys
	}
	b.AskKeyFrame()
	peertest.Wait(t, "the request", w.keys)
	if p.Stats().KeyFramesAsked == 0 {
		t.Error("the request was not counted")
	}
}
