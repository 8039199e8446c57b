package send

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// TestAttachClosed attaches a viewer whose browser has just left: it is not
// counted, for ever, among those who watch.
func TestAttachClosed(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	for _, path := range []Path{{Conn: r.conn, Remote: sink(t), Profile: seal.AEADAES128GCM}, {Video: new(pion).write}} {
		if path.Conn != nil {
			path.Key, path.Salt = keys(path.Profile)
		}
		v := NewViewer(ViewerConfig{Video: videoStream()})
		if err := v.Open(path); err != nil {
			t.Fatal(err)
		}
		v.Close()
		r.sender.Attach(v)
		if got := r.sender.cfg.Stats.Snapshot(); got.ViewersFast != 0 || got.ViewersFallback != 0 {
			t.Errorf("%d and %d viewers", got.ViewersFast, got.ViewersFallback)
		}
	}
	if n := len(*r.sender.viewers.Load()); n != 0 {
		t.Errorf("%d viewers are sent to", n)
	}
}

// TestAttachElsewhere attaches a viewer to a second room: two goroutines would seal
// under its keys.
func TestAttachElsewhere(t *testing.T) {
	r, other := newRig(t, "127.0.0.1", batch.Config{}), newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	other.sender.Attach(w.Viewer)
	if other.picture(accessUnit(500, true), true) {
		t.Error("the other room's picture was taken")
	}
	other.turns()
	w.silent()
	picture := accessUnit(500, true)
	r.picture(picture, true)
	r.turns()
	w.want(picture, maxPayload)
	other.sender.Detach(w.Viewer) // of another room: nothing
	if !r.picture(accessUnit(500, false), false) {
		t.Error("its own room's picture was not taken")
	}
	if got := other.sender.cfg.Stats.Snapshot(); got.ViewersFast != 0 {
		t.Errorf("%d viewers are counted twice", got.ViewersFast)
	}
}

// TestAttachAgain takes a viewer away amid pictures and sound: what waited is not
// shown later, and it goes on with a key frame.
func TestAttachAgain(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), audioStream(), seal.AEADAES128GCM)
	first := accessUnit(700, true)
	r.picture(first, true)
	r.turns()
	w.want(first, maxPayload)
	r.picture(accessUnit(600, false), false)
	r.sender.Audio(Sound{Data: []byte{1}, PTS: r.now, Duration: packet})
	r.sender.Detach(w.Viewer)
	r.sender.Detach(w.Viewer)
	if r.picture(accessUnit(500, false), false) {
		t.Error("taken without viewers")
	}
	r.sender.Attach(w.Viewer)
	asked := w.asked
	if r.picture(accessUnit(400, false), false) || w.asked != asked+1 {
		t.Error("went on after pictures that it was not sent")
	}
	key := accessUnit(900, true)
	r.picture(key, true)
	r.turns()
	w.want(key, maxPayload)
	w.silent()
	if got := r.sender.cfg.Stats.Snapshot(); got.ViewersFast != 1 {
		t.Errorf("%d viewers", got.ViewersFast)
	}
}

// TestPictureNumbers sends two codecs in turn: the numbers that VP8 pictures carry
// advance by one with each that this viewer is sent, and across a loss the next
// picture is a key frame.
func TestPictureNumbers(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	vp8 := videoStream()
	vp8.Codec = packetize.VP8
	r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	w := r.watch(vp8, Stream{}, seal.AEADAES128GCM)
	r.sender.pictures[packetize.VP8] = 0x7ffe // the numbers start again on the way
	send := func(key bool) bool {
		frame := []byte{0x11, 0, 0, 1, 2, 3}
		if key {
			frame = []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0}
		}
		r.picture(accessUnit(900, true), true)
		return r.sender.Video(Frame{Codec: packetize.VP8, Data: frame, Key: key, PTS: r.now})
	}
	next := -1
	receive := func() {
		t.Helper()
		p := w.receive()
		number, key := int(p.Payload[2]&0x7f)<<8|int(p.Payload[3]), p.Payload[4]&1 == 0
		if next >= 0 && number != next && !key {
			t.Fatalf("picture %d, want %d", number, next)
		}
		next = (number + 1) & 0x7fff
	}
	for i := range 6 {
		if !send(i == 0) {
			t.Fatal("not taken")
		}
		r.turns()
		receive()
	}
	if next != 4 {
		t.Errorf("number %d after six pictures from 0x7ffe on", next)
	}
	taken := 0
	for range videoQueue + 3 { // without a turn: the last ones are lost
		if send(false) {
			taken++
		}
	}
	send(true)
	r.turns()
	if taken != 31 { // 500 ms
		t.Errorf("%d pictures wait", taken)
	}
	receive() // the key frame has taken the queue's place
	for range 3 {
		send(false)
		r.turns()
		receive()
	}
	w.silent()
}

func TestSharedSSRC(t *testing.T) {
	conn, to := listen(t, "127.0.0.1", batch.Config{}), sink(t)
	key, salt := keys(seal.AEADAES128GCM)
	fast := Path{Conn: conn, Remote: to, Profile: seal.AEADAES128GCM, Key: key, Salt: salt}
	slow := Path{Video: new(pion).write, Audio: new(pion).write}
	video, audio := withRTX(videoStream()), audioStream()
	same := audio
	same.SSRC = video.SSRC
	resend := audio
	resend.SSRC = video.RTX.SSRC
	own := video
	own.RTX.SSRC = own.SSRC
	sound := audio
	sound.RTX = video.RTX
	tests := []struct {
		name         string
		video, audio Stream
		ok           bool
	}{
		{"all different", video, audio, true},
		{"one stream", Stream{}, audio, true},
		{"video and audio", video, same, false},
		{"resends and audio", video, resend, false},
		{"resends and video", own, audio, false},
		{"resends of both", video, sound, false},
	}
	for _, test := range tests {
		for _, path := range []Path{fast, slow} {
			v := NewViewer(ViewerConfig{Video: test.video, Audio: test.audio})
			if err := v.Open(path); (err == nil) != test.ok {
				t.Errorf("%s: %v", test.name, err)
			}
			v.Close()
		}
	}
}

// TestPathForgets moves a viewer from a bad path to another: what was learnt of the
// first one holds no more. The same one again changes nothing.
func TestPathForgets(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	r.picture(accessUnit(500, true), true)
	r.turns()
	spoil := func() {
		w.estimate.Sent(9, 1200, r.now)
		w.rate.Store(1_000_000)
		w.round.Store(int64(time.Second))
		w.limit.Store(smallest)
	}
	spoil()
	openFast(t, w.Viewer, r.conn, w.address(), seal.AEADAES128GCM)
	r.turns()
	if got := w.Stats(); got.Rate == 0 || got.RoundTrip == 0 || w.limit.Load() != smallest {
		t.Errorf("the same path was forgotten: %+v", got)
	}
	moved := newWatcher(t, "127.0.0.1", videoStream(), Stream{}, seal.AEADAES128GCM)
	openFast(t, w.Viewer, r.conn, moved.address(), seal.AEADAES128GCM)
	r.turns()
	if got := w.Stats(); got.Rate != 0 || got.RoundTrip != 0 || w.limit.Load() != maxPayload || !reflect.ValueOf(w.estimate).IsZero() {
		t.Errorf("another path begins with what was learnt of the first: %+v", got)
	}
}

// TestSoundTurn fills the queue with packets that are all late: one turn sends no
// more than the queue holds, and asks for another.
func TestSoundTurn(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(Stream{}, audioStream(), seal.AEADAES128GCM)
	for i := range soundQueue {
		r.sender.Audio(Sound{Data: []byte{byte(i)}, PTS: r.now, Duration: packet})
		r.advance(packet)
	}
	if next := r.sender.Turn(r.now); next != r.now {
		t.Errorf("next turn at %s, want at once", next-r.now)
	}
	if got := w.Stats().Sounds; got != soundQueue {
		t.Errorf("%d packets", got)
	}
	if next := r.sender.Turn(r.now); next != 0 {
		t.Errorf("next turn in %s with nothing to do", next-r.now)
	}
}

// TestLeaveAmidPicture closes one viewer and takes another away amid a picture; the
// room goes on for who stays.
func TestLeaveAmidPicture(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	stays, leaves, away := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM), r.watch(videoStream(), Stream{}, seal.AEADAES128GCM), r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(60_000, true)
	r.picture(picture, true)
	r.sender.Turn(r.now) // the first chunk
	first := leaves.Stats().Packets
	leaves.Close()
	r.sender.Detach(away.Viewer)
	r.turns()
	stays.want(picture, maxPayload)
	if got := leaves.Stats(); got.Packets != first || got.Frames != 0 {
		t.Errorf("a closed viewer was sent %d packets more", got.Packets-first)
	}
	// Attached again it first gets the rest: never half a picture.
	r.sender.Attach(away.Viewer)
	key := accessUnit(900, true)
	r.picture(key, true)
	r.turns()
	away.want(picture, maxPayload)
	away.want(key, maxPayload)
	stays.want(key, maxPayload)
	if r.sender.units.spare == nil || slices.Contains(r.sender.units.spare, nil) {
		t.Error("no unit came back")
	}
}
