package peer

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/ice/v2"
	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// knocker is another address of a browser: it knows the credentials of ICE.
type knocker struct {
	t            *testing.T
	conn         *net.UDPConn
	to           netip.AddrPort
	user         string
	ours, theirs string // passwords: of the worker, of the browser
}

func newKnocker(t *testing.T, l *Listener, b *peertest.Browser) *knocker {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	answer, offer := b.PC.RemoteDescription().SDP, b.PC.LocalDescription().SDP
	return &knocker{
		t: t, conn: conn, to: l.Addrs()[0], user: value(answer, "ice-ufrag") + ":" + value(offer, "ice-ufrag"),
		ours: value(answer, "ice-pwd"), theirs: value(offer, "ice-pwd"),
	}
}

// value is that of the first attribute of a name.
func value(sdp, name string) string {
	_, rest, _ := strings.Cut(sdp, "a="+name+":")
	v, _, _ := strings.Cut(rest, "\r\n")
	return v
}

// knock sends a check that, if it is to, asks for this address to be used.
func (k *knocker) knock(use bool) {
	k.t.Helper()
	set := []stun.Setter{
		stun.TransactionID, stun.BindingRequest, stun.NewUsername(k.user), ice.AttrControlling(1), ice.PriorityAttr(1<<31 - 1),
	}
	if use {
		set = append(set, ice.UseCandidate())
	}
	m, err := stun.Build(append(set, stun.NewShortTermIntegrity(k.ours), stun.Fingerprint)...)
	if err != nil {
		k.t.Fatal(err)
	}
	k.write(m.Raw)
}

func (k *knocker) write(b []byte) {
	if _, err := k.conn.WriteToUDPAddrPort(b, k.to); err != nil {
		k.t.Errorf("knock: %v", err)
	}
}

// serve answers the worker's checks and notes RTP and RTCP, until the socket
// is closed.
func (k *knocker) serve(media chan<- struct{}) {
	buf := make([]byte, 2000)
	for {
		n, from, err := k.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			close(media)
			return
		}
		m := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
		switch {
		case n > 0 && buf[0]>>6 == 2: // RFC 7983, section 7
			select {
			case media <- struct{}{}:
			default:
			}
		case m.Decode() == nil && m.Type == stun.BindingRequest:
			answer, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())},
				stun.NewShortTermIntegrity(k.theirs), stun.Fingerprint)
			if err != nil {
				k.t.Errorf("answer: %v", err)
				continue
			}
			k.write(answer.Raw)
		}
	}
}

// TestBrowserMoves: a browser that chooses another of its addresses without a
// word to the coordinator gets the next packets there.
func TestBrowserMoves(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, b, w, _ := connect(t, l, peertest.Options{})
	s := show(t, p)
	wantPicture(t, s, b)
	for len(w.keys) > 0 {
		<-w.keys
	}
	k := newKnocker(t, l, b)
	media := make(chan struct{}, 99)
	go k.serve(media)
	here := k.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	until(t, func() bool { k.knock(true); return where(t, p) == here }, func() any { return where(t, p) })
	peertest.Wait(t, "a request for a key frame", w.keys)
	until(t, func() bool { s.Video(picture(accessUnit(true, 10, 1), true, 0)); return len(media) > 0 }, func() any { return p.Stats() })
	_ = k.conn.Close()
	for range media { // to the end of serve
	}
	if n := p.Stats(); !n.Fast || n.SealErrors != 0 {
		t.Errorf("%+v", n)
	}
}

// TestStrangersMoveNobody: without the password of this connection nothing moves,
// and nothing is remembered.
func TestStrangersMoveNobody(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, b, _, _ := connect(t, l, peertest.Options{})
	s := show(t, p)
	from := where(t, p)
	k := newKnocker(t, l, b)
	k.ours = "a guess of the password"
	for range 20 {
		k.knock(true)
	}
	for range 5 {
		wantPicture(t, s, b)
	}
	if got := where(t, p); got != from {
		t.Errorf("moved from %v to %v", from, got)
	}
}

// TestManySources: a browser that speaks from port after port does not fill our
// memory, and is shown out.
func TestManySources(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	_, b, _, done := connect(t, l, peertest.Options{})
	for range 2 * maxSources { // some may be lost
		k := newKnocker(t, l, b)
		k.knock(false)
		_ = k.conn.Close()
		select {
		case err := <-done:
			if !errors.Is(err, errSources) || !errors.Is(err, ErrLost) {
				t.Errorf("Run = %v", err)
			}
			return
		default:
		}
	}
	if err := peertest.Wait(t, "the end", done); !errors.Is(err, errSources) {
		t.Errorf("Run = %v", err)
	}
}

func TestSources(t *testing.T) {
	over := 0
	s := sources{seen: map[source]struct{}{}, over: func() { over++ }}
	at := func(port int) ice.Candidate {
		c, err := ice.NewCandidatePeerReflexive(&ice.CandidatePeerReflexiveConfig{Network: "udp", Address: "192.0.2.1", Port: port, Component: 1})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for round := range 3 {
		for port := range maxSources {
			if s.check(nil, nil, at(1+port), nil) {
				t.Error("chose a pair")
			}
		}
		if over != 0 {
			t.Fatalf("round %d: %d too many", round, over)
		}
	}
	for port := range 4 {
		s.check(nil, nil, at(40_000+port), nil)
	}
	if over != 4 || len(s.seen) != maxSources {
		t.Errorf("%d too many, %d remembered", over, len(s.seen))
	}
}
