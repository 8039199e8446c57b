package peer

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/send"
)

// reports is a stream of RTCP that ends after its packets.
type reports struct {
	packets [][]byte
	end     error
}

func (r *reports) Read(b []byte) (int, interceptor.Attributes, error) {
	if len(r.packets) == 0 {
		return 0, nil, r.end
	}
	n := copy(b, r.packets[0])
	r.packets = r.packets[1:]
	return n, nil, nil
}

// ended says whether a peer that does not run has to end, and that it was lost.
func ended(t *testing.T, p *Peer) bool {
	t.Helper()
	select {
	case <-p.end:
		if !errors.Is(p.endErr, ErrLost) {
			t.Errorf("ended with %v", p.endErr)
		}
		return true
	default:
		return false
	}
}

// TestBadRTCP is put up with, to a bound; a browser that plays for hours pays its
// few ones off.
func TestBadRTCP(t *testing.T) {
	bad, good := []byte{0x81, 206, 0, 9}, []byte{0x80, 201, 0, 1, 0, 0, 0, 1}
	tests := []struct {
		name   string
		rounds int
		round  [][]byte
		bad    uint64 // that are counted
		ended  bool
	}{
		{"some", maxBadRTCP - 1, [][]byte{bad}, maxBadRTCP - 1, false},
		{"too many", maxBadRTCP + 5, [][]byte{bad}, maxBadRTCP, true},
		{"one in two, for hours", 3 * maxBadRTCP, [][]byte{bad, good}, 3 * maxBadRTCP, false},
		{"two in three", 3 * maxBadRTCP, [][]byte{bad, bad, good}, 2*maxBadRTCP - 2, true},
		{"after many good ones", maxBadRTCP, [][]byte{good, good, bad, bad}, 2 * maxBadRTCP, false},
		{"empty", 9, [][]byte{{}}, 9, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := idle(t)
			p.viewer.Store(send.NewViewer(send.ViewerConfig{}))
			p.readRTCP(&reports{slices.Repeat(tt.round, tt.rounds), io.EOF}, p.video)
			if got := ended(t, p); got != tt.ended {
				t.Errorf("ended: %v", got)
			}
			if got := p.Stats().FeedbackBad; got != tt.bad {
				t.Errorf("%d counted, want %d", got, tt.bad)
			}
		})
	}
}

// stuck is a stream that fails for ever.
type stuck struct{ error }

func (s stuck) Read([]byte) (int, interceptor.Attributes, error) { return 0, nil, s.error }

// TestRTCPThatCannotBeRead: a loop that gets nothing but errors ends.
func TestRTCPThatCannotBeRead(t *testing.T) {
	tests := []struct {
		name  string
		err   error
		ended bool
	}{
		{"closed", io.EOF, false},
		{"stopped", io.ErrClosedPipe, false},
		{"too long each time", io.ErrShortBuffer, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := idle(t)
			p.readRTCP(stuck{tt.err}, p.video)
			if got := ended(t, p); got != tt.ended {
				t.Errorf("ended: %v", got)
			}
		})
	}
}

// TestRTCPBeforeTheAnswer: what comes while there is no viewer is nobody's fault.
func TestRTCPBeforeTheAnswer(t *testing.T) {
	p := idle(t)
	p.readRTCP(&reports{slices.Repeat([][]byte{{0x81, 206, 0, 9}}, 2*maxBadRTCP), io.EOF}, p.video)
	if ended(t, p) {
		t.Error("ended")
	}
}

// TestRTCPOfTheOtherStream: pion gives a compound packet to each stream that it
// names; it is acted on once.
func TestRTCPOfTheOtherStream(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, b, _, _ := connect(t, l, peertest.Options{})
	s := show(t, p)
	s.Video(picture(accessUnit(true, 10, 1), true, 0))
	pic := peertest.Wait(t, "a picture", b.Pictures)
	video, _, _ := p.video.bound()
	audio, _, _ := p.audio.bound()
	asked := p.Stats().KeyFramesAsked
	err := b.PC.WriteRTCP([]rtcp.Packet{
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: audio.SSRC}, {SSRC: video.SSRC, FractionLost: 64}}},
		&rtcp.PictureLossIndication{MediaSSRC: video.SSRC},
		&rtcp.TransportLayerNack{MediaSSRC: video.SSRC, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{pic.First})},
		&rtcp.TransportLayerNack{MediaSSRC: audio.SSRC, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{7})},
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		n := p.Stats()
		return n.KeyFramesAsked > asked && n.ResentRTX+n.ResentPlain == 1 && n.RefusedUnknown+n.RefusedGone == 1 && n.Loss == 0.25
	}, func() any { return p.Stats() })
	s.Video(picture(accessUnit(true, 10, 1), true, 0)) // and one turn later nothing was done twice
	peertest.Wait(t, "a picture", b.Pictures)
	if n := p.Stats(); n.KeyFramesAsked != asked+1 || n.ResentRTX+n.ResentPlain != 1 || n.FeedbackBad != 0 {
		t.Errorf("%+v", n.Counts)
	}
}

// TestFloodOfRTCP: a browser that reports without end loses reports, and nobody
// else notices.
func TestFloodOfRTCP(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, _, _, _ := connect(t, l, peertest.Options{})
	q, quiet, _, _ := connect(t, l, peertest.Options{})
	s := show(t, p)
	s.Attach(q.Viewer())
	video, _, _ := p.video.bound()
	flood := &reports{end: io.EOF}
	for i := range 20_000 {
		nack := []byte{0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, byte(i >> 8), byte(i), 0xff, 0xff}
		binary.BigEndian.PutUint32(nack[8:], video.SSRC)
		flood.packets = append(flood.packets, nack)
	}
	done := make(chan struct{})
	go func() { defer close(done); p.readRTCP(flood, p.video) }()
	for i := range 50 {
		pts := time.Duration(i) * 16 * time.Millisecond
		for !s.Video(picture(accessUnit(i == 0, 500, byte(i)), i == 0, pts)) {
			t.Fatalf("picture %d is taken by nobody", i)
		}
		if pic := peertest.Wait(t, "a picture", quiet.Pictures); pic.Key != (i == 0) {
			t.Fatalf("picture %d: key %v", i, pic.Key)
		}
	}
	<-done
	if n := p.Stats(); n.FeedbackDropped == 0 || n.FeedbackBad != 0 {
		t.Errorf("%+v", n.Counts)
	}
	if n := q.Stats(); n.FeedbackDropped != 0 || n.FramesDroppedSlow != 0 {
		t.Errorf("the other one: %+v", n.Counts)
	}
	if ended(t, p) {
		t.Error("the peer ended")
	}
}

// until waits for a condition, and says what there is instead if it never comes.
func until(t *testing.T, condition func() bool, state func() any) {
	t.Helper()
	deadline := time.After(peertest.Patience)
	for !condition() {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("waited too long: %+v", state())
		}
	}
}
