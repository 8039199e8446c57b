package peer

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// idle is a peer whose senders do not run: its queues fill.
func idle(t *testing.T) (*Peer, *watcher) {
	t.Helper()
	w := newWatcher()
	p, err := listen(t, Config{Address: "127.0.0.1"}).Open(w.events(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, w
}

func TestSlowViewerDropsToKeyFrame(t *testing.T) {
	p, w := idle(t)
	key, delta := &Frame{Key: true}, &Frame{}
	if p.Video(key) || len(p.frames) != 0 {
		t.Fatal("queued before the connection was ready")
	}
	p.ready.Store(true)
	if p.Video(delta) || !p.Video(key) { // at first there is nothing to build on
		t.Fatal("took the wrong frame")
	}
	<-w.keys // which the first one asked for, lest nobody else has
	for range videoQueue - 1 {
		p.Video(delta)
	}
	if len(p.frames) != videoQueue || len(w.keys) != 0 {
		t.Fatalf("%d queued, %d requests", len(p.frames), len(w.keys))
	}
	for range 3 {
		p.Video(delta)
	}
	if len(w.keys) != 3 || p.Stats().FramesDropped != 4 { // each asks again, as a request may be lost
		t.Fatalf("%d requests, %+v", len(w.keys), p.Stats())
	}
	<-p.frames
	p.Video(delta) // room again, but the chain is broken
	if len(p.frames) != videoQueue-1 {
		t.Fatal("queued a frame that cannot be decoded")
	}
	p.Video(key)
	p.Video(key) // full: the queue is replaced
	if len(p.frames) != 1 || (<-p.frames) != key {
		t.Fatal("a key frame did not replace the full queue")
	}
}

func TestSlowViewerDropsOldestSound(t *testing.T) {
	p, _ := idle(t)
	p.ready.Store(true)
	for i := range audioQueue + 5 {
		p.Audio(&Sound{Time: uint32(i)})
	}
	if s := <-p.sounds; s.Time != 5 || p.Stats().SoundsDropped != 5 {
		t.Fatalf("oldest %d, %+v", s.Time, p.Stats())
	}
}

func TestUnsentFrameAsksForKeyFrame(t *testing.T) {
	p, w := idle(t)
	p.ready.Store(true)
	p.needKey.Store(false)
	p.sendFrame(&Frame{Payloads: [][]byte{{1}}}) // not negotiated: errNotReady
	if !p.needKey.Load() || len(w.keys) != 1 || p.Stats().WriteErrors != 0 {
		t.Fatalf("needKey %v, %d requests", p.needKey.Load(), len(w.keys))
	}
	if _, err := p.audio.write([][]byte{{1}}, 0, true); !errors.Is(err, errNotReady) {
		t.Errorf("write = %v", err)
	}
}

func TestControlQueueIsBounded(t *testing.T) {
	p, _ := idle(t)
	for range controlQueue + 7 {
		p.Control([]byte("x"))
	}
	if got := p.Stats().ControlsDropped; got != 7 {
		t.Errorf("%d dropped, want 7", got)
	}
}

func TestCloseBeforeAnything(t *testing.T) {
	p, err := listen(t, Config{Address: "127.0.0.1"}).Open(newWatcher().events(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	p.Close()
	if err := p.Run(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Run after Close = %v", err)
	}
	if _, err := p.Answer(t.Context(), peertest.New(t, peertest.Options{}).Offer(), ""); err == nil {
		t.Error("Answer after Close succeeded")
	}
}

func TestPacketizerVideo(t *testing.T) {
	var z Packetizer
	for _, bad := range [][]byte{nil, {}, {0, 0, 0, 1}, make([]byte, maxFrame+1)} {
		if f := z.Video(&media.Frame{Data: bad}); f != nil {
			t.Errorf("%d bytes became %d payloads", len(bad), len(f.Payloads))
		}
	}
	data := accessUnit(true, 100_000, 9)
	f := z.Video(&media.Frame{Data: data, Key: true, PTS: 100 * time.Hour})
	want := slices.Clone(f.Payloads[1])
	for i := range data {
		data[i] = 0 // the encoder's buffer is used again
	}
	if !bytes.Equal(f.Payloads[1], want) {
		t.Error("a payload shares memory with the encoder")
	}
	for i, p := range f.Payloads {
		if len(p) > maxPayload {
			t.Errorf("payload %d has %d bytes", i, len(p))
		}
	}
}

func TestVideoTimeIsExact(t *testing.T) {
	// An hour at 59.7275 Hz: no drift beyond rounding.
	const fps = 59.7275
	for i := range 3600 * 60 {
		seconds := float64(i) / fps
		want := uint32(seconds * videoClock)
		if got := videoTime(time.Duration(seconds * 1e9)); got-want+1 > 2 {
			t.Fatalf("frame %d: %d, want %d", i, got, want)
		}
	}
}

func TestPacketizerAudio(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name string
		pts  []time.Duration
		want []uint32
		jump string
	}{
		{"steady", []time.Duration{5 * ms, 15 * ms, 25 * ms}, []uint32{0, 480, 960}, "y--"},
		{"jitter is ignored", []time.Duration{0, 13 * ms, 19 * ms, 99 * ms}, []uint32{0, 480, 960, 1440}, "y---"},
		{"restart", []time.Duration{0, 10 * ms, 1020 * ms, 1030 * ms}, []uint32{0, 480, 48960, 49440}, "y-y-"},
		{"back", []time.Duration{5000 * ms, 0, 10 * ms}, []uint32{0, 480, 960}, "y--"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var z Packetizer
			for i, pts := range tt.pts {
				s := z.Audio(&media.Packet{Data: []byte{1}, PTS: pts, Duration: 10 * ms})
				if s.Time != tt.want[i] || s.Jump != (tt.jump[i] == 'y') {
					t.Errorf("packet %d at %v: time %d jump %v", i, pts, s.Time, s.Jump)
				}
			}
		})
	}
	var z Packetizer
	for _, bad := range []media.Packet{
		{Duration: 10 * ms},
		{Data: make([]byte, MTU), Duration: 10 * ms},
		{Data: []byte{1}},
		{Data: []byte{1}, Duration: time.Hour},
	} {
		if z.Audio(&bad) != nil {
			t.Errorf("%d bytes of %v were taken", len(bad.Data), bad.Duration)
		}
	}
}

const minimalOffer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

func TestCheckOffer(t *testing.T) {
	video := "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=recvonly\r\n"
	tests := []struct {
		name, sdp string
		ok        bool
	}{
		{"video only", minimalOffer + video, true},
		{"empty", "", false},
		{"no sections", minimalOffer, false},
		{"two videos", minimalOffer + video + video, false},
		{"sends video", minimalOffer + strings.Replace(video, "recvonly", "sendrecv", 1), false},
		{"unknown section", minimalOffer + video + "m=text 9 RTP/AVP 1\r\n", false},
		{"huge", minimalOffer + video + strings.Repeat("a=x\r\n", maxSDP/5), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckOffer(tt.sdp)
			if (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrOffer)) {
				t.Errorf("CheckOffer = %v", err)
			}
		})
	}
}

func FuzzCheckOffer(f *testing.F) {
	f.Add(minimalOffer + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly\r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		if err := CheckOffer(offer); err != nil && !errors.Is(err, ErrOffer) {
			t.Errorf("unclassified: %v", err)
		}
	})
}

func TestPionLogsAreQuiet(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	l := pionLogs{log}.NewLogger("ice")
	l.Error("bad datagram")
	l.Warnf("%d", 1)
	if out.Len() != 0 {
		t.Errorf("a stranger wrote to the log: %s", out.String())
	}
}
