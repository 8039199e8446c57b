package send

import (
	"errors"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

func TestFirstPictureIsKey(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	if r.picture(accessUnit(500, true), true) {
		t.Error("taken without viewers")
	}
	w := newWatcher(t, "127.0.0.1", videoStream(), Stream{}, seal.AEADAES128GCM)
	r.sender.Attach(w.Viewer)
	if r.picture(accessUnit(500, true), true) || w.asked != 0 {
		t.Error("taken by a viewer that is not open")
	}
	openFast(t, w.Viewer, r.conn, w.address(), seal.AEADAES128GCM)
	if w.asked != 1 {
		t.Errorf("%d key frames asked for by Open", w.asked)
	}
	if r.picture(accessUnit(500, false), false) || w.asked != 2 {
		t.Errorf("began without a key frame, or did not ask for one (%d)", w.asked)
	}
	r.turns()
	w.silent()
	key := accessUnit(700, true)
	if !r.picture(key, true) || !r.picture(accessUnit(300, false), false) {
		t.Error("not taken")
	}
	r.turns()
	w.want(key, maxPayload)
	w.want(accessUnit(300, false), maxPayload)
	if got := w.Stats(); got.FramesDroppedWaiting != 1 || got.Frames != 2 || !got.Open || !got.Fast {
		t.Errorf("%+v", got)
	}
}

// TestSlowViewer has one viewer whose path carries little: it loses whole pictures
// up to the next key frame, the other one none.
func TestSlowViewer(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	slow := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	fast := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	for range 2 {
		slow.estimate.Loss(0.5, 2_000_000) // 1 Mbit/s
	}
	slow.rate.Store(slow.estimate.Rate())
	var shown []byte // what each picture begins with, in the order it came
	pictures := make(map[byte][]byte)
	for i := range 40 {
		key := i%20 == 0
		picture := accessUnit(20_000, key)
		picture[5] = byte(i)*2 + 1
		pictures[picture[5]] = picture
		if !r.picture(picture, key) {
			t.Fatal("nobody took the picture")
		}
		r.sender.Turn(r.now)
		for end := r.now + 10*time.Millisecond; r.now < end; {
			r.advance(time.Millisecond)
			r.sender.Turn(r.now)
		}
		fast.want(picture, maxPayload)
	}
	r.turns()
	got := slow.Stats()
	for range got.Frames { // each one complete: want fails otherwise
		first := slow.receive()
		picture := pictures[first.Payload[2]]
		for p := first; !p.Marker; p = slow.receive() {
			if p.Timestamp != first.Timestamp {
				t.Fatal("a picture without its end")
			}
		}
		shown = append(shown, picture[5]/2)
	}
	slow.silent()
	if got.FramesDroppedSlow == 0 || got.FramesDroppedWaiting == 0 || slow.asked < int(got.FramesDroppedWaiting) {
		t.Errorf("%+v, %d key frames asked for", got, slow.asked)
	}
	for i := 1; i < len(shown); i++ {
		if shown[i] != shown[i-1]+1 && shown[i]%20 != 0 {
			t.Errorf("picture %d after %d, which is no key frame", shown[i], shown[i-1])
		}
	}
	if got.Frames+got.FramesDroppedSlow+got.FramesDroppedWaiting != 40 {
		t.Errorf("%d + %d + %d pictures, want 40", got.Frames, got.FramesDroppedSlow, got.FramesDroppedWaiting)
	}
	if got := fast.Stats(); got.Frames != 40 || fast.asked != 1 {
		t.Errorf("the other viewer: %+v, %d key frames asked for", got, fast.asked)
	}
}

// TestKeyFrameEmptiesQueue fills the queue without a turn.
func TestKeyFrameEmptiesQueue(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	for i := range videoQueue {
		r.advance(2 * time.Millisecond)
		if !r.sender.Video(Frame{Codec: packetize.H264, Data: accessUnit(100+i, i == 0), Key: i == 0, PTS: r.now}) {
			t.Fatal("not taken")
		}
	}
	if r.picture(accessUnit(300, false), false) {
		t.Error("taken by a full queue")
	}
	key := accessUnit(900, true)
	if !r.picture(key, true) {
		t.Error("the key frame was not taken")
	}
	r.turns()
	w.want(key, maxPayload)
	w.silent()
	if got := w.Stats(); got.FramesDroppedSlow != videoQueue+1 || got.Frames != 1 {
		t.Errorf("%+v", got)
	}
}

// TestBacklog has pictures wait that no turn sends: for a while where the machine
// is to blame, hardly where the path is.
func TestBacklog(t *testing.T) {
	for _, test := range []struct {
		name    string
		narrow  bool
		every   time.Duration
		taken   int
		then    time.Duration // after one turn, a stall of that long
		follows bool          // a picture is taken after it
	}{
		{"stall", false, 30 * time.Millisecond, 17, 400 * time.Millisecond, true},
		{"many at once", false, time.Millisecond, videoQueue, 400 * time.Millisecond, true},
		{"narrow path", true, 20 * time.Millisecond, 7, 140 * time.Millisecond, false},
	} {
		r := newRig(t, "127.0.0.1", batch.Config{})
		w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
		if test.narrow {
			w.rate.Store(1_000_000)
		}
		offer := func(key bool) bool {
			return r.sender.Video(Frame{Codec: packetize.H264, Data: accessUnit(200, key), Key: key, PTS: r.now})
		}
		taken := 0
		for offer(taken == 0) {
			taken++
			r.advance(test.every)
		}
		if taken != test.taken {
			t.Errorf("%s: %d pictures wait, want %d", test.name, taken, test.taken)
		}
		r.turns()
		if !offer(true) {
			t.Fatalf("%s: a key frame is not taken", test.name)
		}
		r.advance(test.then)
		if got := offer(false); got != test.follows {
			t.Errorf("%s: taken behind a picture of %s: %v", test.name, test.then, got)
		}
	}
}

func TestRefusedPictures(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), audioStream(), seal.AEADAES128GCM)
	asked := w.asked
	tests := []struct {
		name  string
		frame Frame
		count uint64
	}{
		{"empty", Frame{Codec: packetize.H264, Key: true}, 0},
		{"too large", Frame{Codec: packetize.H264, Key: true, Data: make([]byte, packetize.MaxData+1)}, 1},
		{"another codec", Frame{Codec: packetize.VP8, Key: true, Data: accessUnit(100, true)}, 0},
	}
	for _, test := range tests {
		before := r.sender.cfg.Stats.Snapshot().FramesRefused
		if r.sender.Video(test.frame) {
			t.Errorf("%s: taken", test.name)
		}
		if got := r.sender.cfg.Stats.Snapshot().FramesRefused - before; got != test.count {
			t.Errorf("%s: counted %d times, want %d", test.name, got, test.count)
		}
	}
	for _, d := range []time.Duration{0, -1, maxSound + 1} {
		r.sender.Audio(Sound{Data: []byte{1}, Duration: d})
	}
	r.sender.Audio(Sound{Data: make([]byte, maxPayload+1), Duration: 10 * time.Millisecond})
	if got := r.sender.cfg.Stats.Snapshot().FramesRefused; got != 5 {
		t.Errorf("%d refused", got)
	}
	r.turns()
	w.silent()
	if w.asked != asked {
		t.Error("asked for a key frame that could not help")
	}
}

func TestDetachAndClose(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	a := r.watch(videoStream(), audioStream(), seal.AEADAES128GCM)
	b := r.watch(videoStream(), audioStream(), seal.AEADAES128GCM)
	r.sender.Attach(a.Viewer) // again: nothing
	key := accessUnit(900, true)
	r.picture(key, true)
	r.sender.Detach(b.Viewer)
	r.turns()
	a.want(key, maxPayload)
	a.silent()
	b.silent()
	r.picture(key, true)
	a.Close()
	a.Close()
	r.turns()
	a.silent()
	if r.picture(key, true) {
		t.Error("a closed viewer took a picture")
	}
	b.Close()
	got := r.sender.cfg.Stats.Snapshot()
	if got.ViewersFast != 0 || got.ViewersFallback != 0 {
		t.Errorf("%d and %d viewers are left", got.ViewersFast, got.ViewersFallback)
	}
	if !errors.Is(a.open(&Path{}), ErrClosed) {
		t.Error("a closed viewer can be opened")
	}
	if err := a.Feedback([]byte{0x81, 206, 0, 2, 0, 0, 0, 1, 0x11, 0x11, 0x11, 0x11}, videoSSRC); err != nil {
		t.Error(err)
	}
}

// TestNewAddress opens again, as after an ICE restart: the stream goes on with a
// key frame, under the next numbers, to the other address.
func TestNewAddress(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	key := accessUnit(900, true)
	r.picture(key, true)
	r.turns()
	last := w.want(key, maxPayload)[0].SequenceNumber
	moved := newWatcher(t, "127.0.0.1", videoStream(), Stream{}, seal.AEADAES128GCM)
	openFast(t, w.Viewer, r.conn, moved.address(), seal.AEADAES128GCM)
	if r.picture(accessUnit(100, false), false) {
		t.Error("went on without a key frame")
	}
	r.picture(key, true)
	r.turns()
	if got := moved.want(key, maxPayload)[0].SequenceNumber; got != last+1 {
		t.Errorf("sequence number %d after %d", got, last)
	}
	w.silent()
}

func TestOpenRefuses(t *testing.T) {
	conn := listen(t, "127.0.0.1", batch.Config{})
	key, salt := keys(seal.AEADAES128GCM)
	to := sink(t)
	tests := map[string]Path{
		"nothing":    {},
		"no socket":  {Remote: to, Profile: seal.AEADAES128GCM, Key: key, Salt: salt},
		"no address": {Conn: conn, Profile: seal.AEADAES128GCM, Key: key, Salt: salt},
		"short key":  {Conn: conn, Remote: to, Profile: seal.AEADAES128GCM, Key: key[1:], Salt: salt},
		"short salt": {Conn: conn, Remote: to, Profile: seal.AEADAES256GCM, Key: key, Salt: salt[1:]},
		"profile":    {Conn: conn, Remote: to, Profile: 99, Key: key, Salt: salt},
	}
	for name, path := range tests {
		v := NewViewer(ViewerConfig{Video: withRTX(videoStream())})
		if err := v.Open(path); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if v.Stats().Open {
			t.Errorf("%s: open", name)
		}
		v.Close()
	}
}
