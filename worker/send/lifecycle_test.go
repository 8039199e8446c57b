package send

import (
	"bytes"
	"net"
	"reflect"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

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

// TestFallbackTooLarge has a path with a small MTU under pion's writer: what went
// in fragments is no loss, and packets become smaller.
func TestFallbackTooLarge(t *testing.T) {
	var refuse atomic.Bool
	refuse.Store(true)
	conn := listen(t, "127.0.0.1", batch.Config{Fault: func(int) error {
		if refuse.Load() {
			return syscall.EMSGSIZE
		}
		return nil
	}})
	if !conn.Stats().Segmentation {
		t.Skip("no segmentation offload here")
	}
	s := New(Config{})
	w := newWatcher(t, "127.0.0.1", videoStream(), Stream{}, seal.AEADAES128GCM)
	to := net.UDPAddrFromAddrPort(w.address())
	write := func(h *rtp.Header, payload []byte) error {
		b, err := (&rtp.Packet{Header: *h, Payload: payload}).Marshal()
		if err != nil {
			return err
		}
		_, err = conn.WriteTo(b, to)
		return err
	}
	if err := w.Open(Path{Conn: conn, Remote: w.address(), Video: write}); err != nil {
		t.Fatal(err)
	}
	turn := byHand(w.Viewer, s)
	picture := accessUnit(10_000, true)
	whole := func(limit int) {
		t.Helper()
		if !s.Video(Frame{Codec: packetize.H264, Data: picture, Key: true}) {
			t.Fatal("not taken")
		}
		turn()
		var f packetize.Frame
		if err := f.Split(packetize.H264, picture, limit, 0); err != nil {
			t.Fatal(err)
		}
		for i := range f.Len() {
			var p rtp.Packet
			if err := p.Unmarshal(w.raw()); err != nil || !bytes.Equal(p.Payload, f.Payload(i)) {
				t.Fatalf("packet %d of %d bytes: %v", i, len(p.Payload), err)
			}
		}
	}
	whole(maxPayload)
	refuse.Store(false)
	whole(int(smaller(maxPayload)))
	if got := w.Stats(); got.TooLarge == 0 || got.Unsent != 0 {
		t.Errorf("%+v", got.Counts)
	}
}

// byHand attaches a viewer of the fallback without its goroutine; turn is what that
// would do.
func byHand(v *Viewer, s *Sender) (turn func()) {
	v.fall = &fallback{wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	close(v.fall.done)
	s.Attach(v)
	o := new(output)
	o.init(&s.cfg)
	return func() {
		for next := time.Duration(0); next != never; next = v.fallbackTurn(o) {
			o.now = max(next, s.cfg.Now())
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

// TestTimerAfterTurn has a writer that takes a while: the next chunk leaves at its
// time nevertheless, not that much later.
func TestTimerAfterTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := room(t)
		v := NewViewer(ViewerConfig{Video: videoStream()})
		var left []time.Duration
		begin := time.Now()
		write := func(*rtp.Header, []byte) error {
			left = append(left, time.Since(begin))
			time.Sleep(50 * time.Microsecond)
			return nil
		}
		s.Attach(v)
		if err := v.Open(Path{Video: write}); err != nil {
			t.Fatal(err)
		}
		s.Video(Frame{Codec: packetize.H264, Data: accessUnit(36*1165, true), Key: true})
		time.Sleep(20 * time.Millisecond)
		v.Close()
		for _, chunk := range []int{0, 12, 24} {
			due := time.Duration(chunk/12) * time.Millisecond
			if late := left[chunk] - due; late > 100*time.Microsecond {
				t.Errorf("packet %d leaves %s after its time", chunk, late)
			}
		}
	})
}

// TestReportMoment takes a turn that begins late, as one behind many viewers does:
// both times of its report are of one moment.
func TestReportMoment(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(500, true)
	r.picture(picture, true)
	pts, wall := r.now, r.wall
	r.turns()
	offset := w.want(picture, maxPayload)[0].Timestamp - videoTime(pts)
	began := r.now
	r.advance(3 * time.Millisecond)
	r.sender.Turn(began)
	if len(w.reports) != 1 {
		t.Fatalf("%d reports", len(w.reports))
	}
	report := w.reports[0]
	since := time.Duration(float64(report.NTPTime-ntp(wall)) / (1 << 32) * float64(time.Second))
	if off := int32(report.RTPTime - offset - videoTime(pts+since)); off < -9 || off > 9 {
		t.Errorf("RTP time is %d beside NTP time", off)
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

// TestReportFails counts reports that pion does not take and goes on with the next
// one.
func TestReportFails(t *testing.T) {
	fails := true
	v := NewViewer(ViewerConfig{Video: videoStream(), Report: func([]rtcp.Packet) error {
		if fails {
			return net.ErrClosed
		}
		return nil
	}})
	r := newRig(t, "127.0.0.1", batch.Config{})
	r.sender.Attach(v)
	openFast(t, v, r.conn, sink(t), seal.AEADAES128GCM)
	for i := range 60 {
		r.picture(accessUnit(500, i == 0), i == 0)
		r.turns()
	}
	if got := v.Stats(); got.WriteErrors != 1 || got.Reports != 0 {
		t.Errorf("%+v", got.Counts)
	}
	fails = false
	r.advance(reportEvery)
	r.picture(accessUnit(500, false), false)
	r.turns()
	if got := v.Stats(); got.WriteErrors != 1 || got.Reports != 1 {
		t.Errorf("%+v", got.Counts)
	}
}
