// Package peertest is a browser for tests: a pion client that offers what the
// page offers and records what it gets.
package peertest

import (
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v3"
)

// Picture is one access unit as it was received.
type Picture struct {
	Data    []byte
	Key     bool
	Time    uint32 // RTP
	Packets int
	First   uint16 // sequence number of its first packet
	Delayed bool   // a packet came without playout-delay {0,0}
	Bare    bool   // a packet came without transport-wide number and send time
}

// Resent is a packet that came again.
type Resent struct {
	Seq     uint16 // its first sequence number
	Payload []byte
	RTX     bool // on a stream of its own
}

// Sound is one received packet.
type Sound struct {
	Data []byte
	Time uint32
	Mark bool
}

// Options of a Browser.
type Options struct {
	Profiles []string // profile-level-ids offered, default 42001f 42e01f 4d001f
	NoAudio  bool
	Video    string                       // MIME type, default H.264
	Bare     bool                         // neither retransmission nor transport-wide numbers are offered
	SRTP     []dtls.SRTPProtectionProfile // offered, default pion's: AES-GCM first
	Cable    *Cable                       // nil: sockets of its own
}

// Browser is the stand-in. Received things wait in channels; when one is full,
// the oldest entry goes.
type Browser struct {
	PC             *webrtc.PeerConnection
	Input, Channel *webrtc.DataChannel

	Pictures chan Picture
	Sounds   chan Sound
	Resent   chan Resent // of video
	Messages chan string // of channel control

	Connected chan struct{} // closed when connected
	Open      chan struct{} // closed when the control channel is open

	tb        testing.TB
	once      sync.Once
	mu        sync.Mutex
	videoSSRC uint32
	control   reader // nil until the channel opens
	closed    bool
	reading   sync.WaitGroup
}

const playoutDelay = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

// New makes a browser that is closed when the test ends.
func New(tb testing.TB, o Options) *Browser {
	tb.Helper()
	if o.Profiles == nil {
		o.Profiles = []string{"42001f", "42e01f", "4d001f"}
	}
	b := &Browser{
		tb: tb, Pictures: make(chan Picture, 256), Sounds: make(chan Sound, 256), Resent: make(chan Resent, 256), Messages: make(chan string, 256),
		Connected: make(chan struct{}), Open: make(chan struct{}),
	}
	pc, err := newAPI(tb, o).NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	check(tb, err)
	tb.Cleanup(b.Close)
	b.PC = pc
	recvonly := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
	_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, recvonly)
	check(tb, err)
	if !o.NoAudio {
		_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, recvonly)
		check(tb, err)
	}
	b.addChannels()
	pc.OnTrack(b.receive)
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			b.once.Do(func() { close(b.Connected) })
		}
	})
	return b
}

func (b *Browser) addChannels() {
	yes, no, zero, one, none := true, false, uint16(0), uint16(1), uint16(0)
	var err error
	b.Input, err = b.PC.CreateDataChannel("input", &webrtc.DataChannelInit{
		Negotiated: &yes, ID: &zero, Ordered: &no, MaxRetransmits: &none,
	})
	check(b.tb, err)
	b.Channel, err = b.PC.CreateDataChannel("control", &webrtc.DataChannelInit{Negotiated: &yes, ID: &one, Ordered: &yes})
	check(b.tb, err)
	b.Channel.OnOpen(func() {
		close(b.Open)
		b.read()
	})
}

// reader is the reading side of a channel as pion hands it out.
type reader interface {
	ReadDataChannel(b []byte) (n int, isString bool, err error)
	SetReadDeadline(t time.Time) error
}

// read records what comes on channel control. As in package peer, pion must not
// read: its loops may never end, and closing waits for them.
func (b *Browser) read() {
	detached, err := b.Channel.Detach()
	if err != nil {
		return // closed meanwhile
	}
	r := detached.(reader)
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.control = r
	b.reading.Add(1)
	b.mu.Unlock()
	defer b.reading.Done()
	buf := make([]byte, 64<<10)
	for {
		n, _, err := r.ReadDataChannel(buf)
		if err != nil {
			return
		}
		push(b.Messages, string(buf[:n]))
	}
}

func (b *Browser) receive(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	if t.Kind() == webrtc.RTPCodecTypeAudio {
		for {
			p, _, err := t.ReadRTP()
			if err != nil {
				return
			}
			push(b.Sounds, Sound{Data: p.Payload, Time: p.Timestamp, Mark: p.Marker})
		}
	}
	b.mu.Lock()
	b.videoSSRC = uint32(t.SSRC())
	b.mu.Unlock()
	v := video{tb: b.tb, out: b, track: t}
	for _, e := range r.GetParameters().HeaderExtensions {
		switch e.URI {
		case playoutDelay:
			v.delay = uint8(e.ID)
		case sdp.TransportCCURI:
			v.number = uint8(e.ID)
		case sdp.ABSSendTimeURI:
			v.sendTime = uint8(e.ID)
		}
	}
	v.read()
}

// Offer makes the offer.
func (b *Browser) Offer() string {
	b.tb.Helper()
	offer, err := b.PC.CreateOffer(nil)
	check(b.tb, err)
	check(b.tb, b.PC.SetLocalDescription(offer))
	return offer.SDP
}

// Restart makes the offer of an ICE restart.
func (b *Browser) Restart() string {
	b.tb.Helper()
	offer, err := b.PC.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	check(b.tb, err)
	check(b.tb, b.PC.SetLocalDescription(offer))
	return offer.SDP
}

// Accept takes the answer.
func (b *Browser) Accept(answer string) {
	b.tb.Helper()
	check(b.tb, b.PC.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
}

// AskKeyFrame sends a PLI.
func (b *Browser) AskKeyFrame() {
	b.mu.Lock()
	ssrc := b.videoSSRC
	b.mu.Unlock()
	check(b.tb, b.PC.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}}))
}

// Nack asks for packets of video again.
func (b *Browser) Nack(seqs ...uint16) {
	b.mu.Lock()
	ssrc := b.videoSSRC
	b.mu.Unlock()
	check(b.tb, b.PC.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs)}}))
}

// Close ends the browser.
func (b *Browser) Close() {
	if b.PC == nil {
		return
	}
	b.mu.Lock()
	b.closed = true
	if b.control != nil {
		_ = b.control.SetReadDeadline(time.Unix(0, 0)) // it cannot fail
	}
	b.mu.Unlock()
	b.settle()
	_ = b.PC.GracefulClose()
	b.reading.Wait()
}

// settle waits a while for a connection that is being made: pion is not to be
// closed at that moment (v3.3.6, icetransport.go, Start and stop).
func (b *Browser) settle() {
	if b.PC.RemoteDescription() == nil {
		return
	}
	tick, over := time.NewTicker(time.Millisecond), time.NewTimer(time.Second)
	defer tick.Stop()
	defer over.Stop()
	for b.PC.SCTP().Transport().State() == webrtc.DTLSTransportStateNew {
		select {
		case <-tick.C:
		case <-over.C:
			return
		}
	}
}

// Patience is how long Wait waits: longer than a busy machine stops a test, and
// than ICE takes to find out by itself that the other side has gone.
const Patience = 2 * time.Minute

// Wait returns the next value of c, and fails the test after Patience.
func Wait[T any](tb testing.TB, what string, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Patience):
		tb.Fatalf("waited too long for %s", what)
	}
	panic("unreachable")
}

func push[T any](c chan T, v T) {
	for {
		select {
		case c <- v:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
