package peer

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// keysFunc is what Listener.keysOf is.
type keysFunc = func(*webrtc.DTLSTransport, bool) (srtpKeys, error)

func noKeys(*webrtc.DTLSTransport, bool) (srtpKeys, error) { return srtpKeys{}, errNoKeys }

// where is the browser's address of the selected pair.
func where(t *testing.T, p *Peer) netip.AddrPort {
	t.Helper()
	pair, err := p.transport().ICETransport().GetSelectedCandidatePair()
	if err != nil {
		t.Fatal(err)
	}
	if pair == nil {
		return netip.AddrPort{}
	}
	a, err := addrPort(pair.Remote)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestICERestart: a browser that comes back from another address goes on with the
// same streams, keys and counters, again and again.
func TestICERestart(t *testing.T) {
	for name, keys := range map[string]keysFunc{"past pion": localKeys, "through pion": noKeys} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, Config{Address: "127.0.0.1"})
			l.keysOf = keys
			p, b, w, _ := connect(t, l, peertest.Options{})
			s := show(t, p)
			last := wantPicture(t, s, b)
			for round := range 3 {
				from, viewer := where(t, p), p.Viewer()
				answer, err := p.Answer(t.Context(), b.Restart(), "")
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(answer, "a=candidate:") || len(attributes(answer, "video", "ssrc-group")) != 1 {
					t.Fatalf("no candidates or no retransmission in\n%s", answer)
				}
				b.Accept(answer)
				until(t, func() bool { to := where(t, p); return to.IsValid() && to != from }, func() any { return from })
				peertest.Wait(t, "a request for a key frame", w.keys)
				pic := wantPicture(t, s, b)
				if ahead := pic.First - last.First; ahead == 0 || ahead > 1000 {
					t.Errorf("round %d: sequence numbers go from %d to %d", round, last.First, pic.First)
				}
				if p.Viewer() != viewer {
					t.Error("another viewer")
				}
				last = pic
			}
			if n := p.Stats(); n.Fast != (name == "past pion") || !n.Open || n.SealErrors != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// wantPicture sends key frames until one arrives that was sent since.
func wantPicture(t *testing.T, s *send.Sender, b *peertest.Browser) peertest.Picture {
	t.Helper()
	for len(b.Pictures) > 0 {
		<-b.Pictures
	}
	deadline := time.After(peertest.Patience)
	wait := 50 * time.Millisecond
	for fill := byte(1); ; fill, wait = fill+2, 2*wait { // a busy machine takes longer
		data := accessUnit(true, 100, fill)
		s.Video(picture(data, true, 0))
		for again, waits := time.After(wait), true; waits; {
			select {
			case pic := <-b.Pictures:
				if bytes.Equal(pic.Data, data) {
					return pic
				}
			case <-again:
				waits = false
			case <-deadline:
				t.Fatal("no picture arrives")
			}
		}
	}
}

// TestPathIsChosenOnce: keys that turn up later change nothing, nor do others.
func TestPathIsChosenOnce(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	local := &webrtc.ICECandidate{Typ: webrtc.ICECandidateTypeHost, Protocol: webrtc.ICEProtocolUDP, Address: "127.0.0.1", Port: uint16(l.Port())}
	elsewhere := &webrtc.ICECandidate{Typ: webrtc.ICECandidateTypeRelay, Protocol: webrtc.ICEProtocolUDP, Address: "192.0.2.9", Port: 5}
	one := &webrtc.ICECandidate{Address: "192.0.2.1", Port: 1}
	two := &webrtc.ICECandidate{Address: "192.0.2.1", Port: 2}
	have := func(*webrtc.DTLSTransport, bool) (srtpKeys, error) {
		return srtpKeys{seal.AEADAES128GCM, make([]byte, 16), make([]byte, 12)}, nil
	}
	lack := func(*webrtc.DTLSTransport, bool) (srtpKeys, error) { return srtpKeys{}, errNoKeys }
	tests := []struct {
		name        string
		first, then func(*webrtc.DTLSTransport, bool) (srtpKeys, error)
		local       *webrtc.ICECandidate
		fast        bool
	}{
		{"keys", have, lack, local, true},
		{"no keys", lack, have, local, false},
		{"keys, but a relay of ours", have, have, elsewhere, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := l.Open(newWatcher().events(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			l.keysOf = tt.first
			first := p.path(&webrtc.ICECandidatePair{Local: tt.local, Remote: one})
			l.keysOf = tt.then
			then := p.path(&webrtc.ICECandidatePair{Local: local, Remote: two})
			for i, path := range []send.Path{first, then} {
				if (len(path.Key) == 16) != tt.fast || (path.Video != nil) == tt.fast || (path.Audio != nil) == tt.fast {
					t.Errorf("path %d: %d bytes of key, writers %v", i, len(path.Key), path.Video != nil)
				}
			}
			if (first.Conn == nil) != (tt.local == elsewhere) || then.Conn != l.conns[0] || then.Remote != netip.MustParseAddrPort("192.0.2.1:2") {
				t.Errorf("conns %v, then %v to %v", first.Conn, then.Conn, then.Remote)
			}
		})
	}
}

// TestRefusedPathEndsThePeer: a browser that cannot be sent to any more is not
// left with a still picture.
func TestRefusedPathEndsThePeer(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, _, _, done := connect(t, l, peertest.Options{})
	p.opening.Lock()
	p.keys, p.fallback = nil, true // as if they were gone
	p.opening.Unlock()
	p.openPath()
	if err := peertest.Wait(t, "the end", done); !errors.Is(err, ErrLost) || !errors.Is(err, send.ErrPath) {
		t.Errorf("Run = %v", err)
	}
}

// TestPathLostOnTheWay: a fast path whose local end is no socket of ours any more
// cannot be carried on.
func TestPathLostOnTheWay(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, _, _, done := connect(t, l, peertest.Options{})
	p.opening.Lock()
	l.own[0] = netip.MustParseAddrPort("192.0.2.1:1")
	p.opening.Unlock()
	p.openPath()
	if err := peertest.Wait(t, "the end", done); !errors.Is(err, ErrLost) {
		t.Errorf("Run = %v", err)
	}
	if n := p.Stats(); n.Open {
		t.Errorf("still open: %+v", n)
	}
}

// TestOpenPathOutOfTime does nothing before there is a viewer and a connection,
// and after the end.
func TestOpenPathOutOfTime(t *testing.T) {
	p := idle(t)
	p.openPath() // no viewer
	if err := take(t, p, peertest.New(t, peertest.Options{}).Offer()); err != nil {
		t.Fatal(err)
	}
	p.openPath() // not connected
	p.ready.Store(true)
	p.openPath() // no pair
	if p.Stats().Open || p.keys != nil || p.fallback {
		t.Errorf("opened: %+v", p.Stats())
	}
	if ended(t, p) {
		t.Error("the peer ended")
	}
	l := listen(t, Config{Address: "127.0.0.1"})
	q, _, _, done := connect(t, l, peertest.Options{})
	q.Close()
	q.openPath()
	if err := peertest.Wait(t, "the end", done); !errors.Is(err, ErrClosed) || q.Stats().Open {
		t.Errorf("Run = %v, open %v", err, q.Stats().Open)
	}
}

// TestNoSocketOfOurs: where the local end of the pair is not ours, media goes
// through pion from the beginning, and arrives.
func TestNoSocketOfOurs(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	l.own[0] = netip.MustParseAddrPort("192.0.2.1:1") // as behind a relay
	p, b, _, _ := connect(t, l, peertest.Options{})
	pictureAndSound(t, p, b)
	if n := p.Stats(); n.Fast || n.Frames != 2 || n.WriteErrors != 0 {
		t.Errorf("%+v", n)
	}
	if p.keys != nil || !p.fallback {
		t.Error("the keys are kept")
	}
}

// TestPionIsNotAsked: who closes the agent holds pion's lock while it waits for
// the callback that opens the path, so that must ask pion nothing. Here there is
// nobody to ask.
func TestPionIsNotAsked(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, b, _, _ := connect(t, l, peertest.Options{})
	pictureAndSound(t, p, b)
	p.opening.Lock()
	q := &Peer{log: p.log, owner: l, keys: p.keys, end: make(chan struct{})}
	p.opening.Unlock()
	q.viewer.Store(p.Viewer())
	q.ready.Store(true)
	q.openPath() // before a pair
	q.pair.Store(p.pair.Load())
	q.openPath()
	if q.endErr != nil || !p.Stats().Open {
		t.Errorf("ended with %v, open %v", q.endErr, p.Stats().Open)
	}
}
