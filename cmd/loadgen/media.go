package loadgen

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Media of a simulated worker: packets as a game of little motion has them.
const (
	frameTime       = time.Second / 30
	frameSize       = 1100 // bytes, one packet
	firstPackets    = 5    // that a page waits for
	gatherPatience  = 5 * time.Second
	picturePatience = 30 * time.Second // of a page, for the first one
)

// newPeer makes a connection of either side: addresses of this machine too, no log.
func newPeer() (*webrtc.PeerConnection, error) {
	logs := logging.NewDefaultLoggerFactory()
	logs.DefaultLogLevel = logging.LogLevelDisabled
	settings := webrtc.SettingEngine{LoggerFactory: logs}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	codecs := &webrtc.MediaEngine{}
	if err := codecs.RegisterDefaultCodecs(); err != nil {
		return nil, fmt.Errorf("register codecs: %w", err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(codecs)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, fmt.Errorf("make a connection: %w", err)
	}
	return pc, nil
}

// describe sets the description that make makes and answers it with all candidates.
func describe(pc *webrtc.PeerConnection, create func() (webrtc.SessionDescription, error)) (string, error) {
	d, err := create()
	if err != nil {
		return "", fmt.Errorf("make description: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		return "", fmt.Errorf("set own description: %w", err)
	}
	late := time.NewTimer(gatherPatience)
	defer late.Stop()
	select {
	case <-gathered:
		return pc.LocalDescription().SDP, nil
	case <-late.C:
		return "", errors.New("gathering candidates takes too long")
	}
}

// sender is a simulated worker's side of a session with media.
type sender struct {
	pc   *webrtc.PeerConnection
	end  chan struct{}
	once sync.Once
	work sync.WaitGroup
}

// newSender answers an offer and sends pictures until close.
func newSender(offer string) (*sender, string, error) {
	pc, err := newPeer()
	if err != nil {
		return nil, "", err
	}
	s := &sender{pc: pc, end: make(chan struct{})}
	sdp, err := s.negotiate(offer)
	if err != nil {
		s.close()
		return nil, "", err
	}
	return s, sdp, nil
}

func (s *sender) negotiate(offer string) (string, error) {
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264}, "video", "loadgen")
	if err != nil {
		return "", fmt.Errorf("make track: %w", err)
	}
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("take offer: %w", err)
	}
	if _, err := s.pc.AddTrack(track); err != nil {
		return "", fmt.Errorf("add track: %w", err)
	}
	sdp, err := describe(s.pc, func() (webrtc.SessionDescription, error) { return s.pc.CreateAnswer(nil) })
	if err != nil {
		return "", err
	}
	s.work.Go(func() { s.send(track) })
	return sdp, nil
}

// send sends what a decoder would not take: it is counted, not shown.
func (s *sender) send(track *webrtc.TrackLocalStaticRTP) {
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	packet := rtp.Packet{Header: rtp.Header{Version: 2, Marker: true}, Payload: make([]byte, frameSize)}
	for {
		select {
		case <-s.end:
			return
		case <-tick.C:
		}
		packet.SequenceNumber++
		packet.Timestamp += uint32(90_000 * frameTime / time.Second)
		_ = track.WriteRTP(&packet) // nothing is sent before the connection is there
	}
}

func (s *sender) close() {
	s.once.Do(func() {
		close(s.end)
		s.work.Wait()
		_ = s.pc.Close()
	})
}

// watcher is a page's side of a session with media.
type watcher struct {
	pc    *webrtc.PeerConnection
	tally *tally
	work  sync.WaitGroup

	mu       sync.Mutex
	accepted time.Time
	seen     func() // called with the first picture
	closed   bool
	early    []signal.Candidate // that came before the answer
}

// newWatcher makes an offer as the page does: picture and sound to be received,
// and the two channels.
func newWatcher(t *tally) (*watcher, string, error) {
	pc, err := newPeer()
	if err != nil {
		return nil, "", err
	}
	w := &watcher{pc: pc, tally: t}
	sdp, err := w.offer()
	if err != nil {
		w.close()
		return nil, "", err
	}
	return w, sdp, nil
}

func (w *watcher) offer() (string, error) {
	receive := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := w.pc.AddTransceiverFromKind(kind, receive); err != nil {
			return "", fmt.Errorf("add transceiver: %w", err)
		}
	}
	yes, no, none := true, false, uint16(0)
	for id, name := range []string{"input", "control"} {
		id, ordered := uint16(id), id == 1
		channel := &webrtc.DataChannelInit{Negotiated: &yes, ID: &id, Ordered: &ordered}
		if !ordered {
			channel.Ordered, channel.MaxRetransmits = &no, &none
		}
		if _, err := w.pc.CreateDataChannel(name, channel); err != nil {
			return "", fmt.Errorf("make channel: %w", err)
		}
	}
	w.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { w.receive(track) })
	return describe(w.pc, func() (webrtc.SessionDescription, error) { return w.pc.CreateOffer(nil) })
}

// receive counts packets of the picture and throws the rest away.
func (w *watcher) receive(track *webrtc.TrackRemote) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.work.Add(1)
	begin, seen := w.accepted, w.seen
	w.mu.Unlock()
	defer w.work.Done()
	buf := make([]byte, 1600)
	for n := 1; ; n++ {
		if _, _, err := track.Read(buf); err != nil {
			return
		}
		if n == firstPackets && track.Kind() == webrtc.RTPCodecTypeVideo {
			w.tally.picture(time.Since(begin))
			seen()
		}
	}
}

// accept takes the answer, and candidates that came before it. It has seen called
// with the first picture.
func (w *watcher) accept(sdp string, seen func()) error {
	w.mu.Lock()
	w.accepted, w.seen = time.Now(), seen
	early := w.early
	w.early = nil
	w.mu.Unlock()
	if err := w.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		return fmt.Errorf("take answer: %w", err)
	}
	for _, c := range early {
		w.candidate(c)
	}
	return nil
}

// candidate takes one of the worker's.
func (w *watcher) candidate(c signal.Candidate) {
	w.mu.Lock()
	early := w.accepted.IsZero()
	if early && len(w.early) < 64 {
		w.early = append(w.early, c)
	}
	w.mu.Unlock()
	if early || c.Candidate == "" {
		return
	}
	_ = w.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c.Candidate, SDPMid: c.SDPMid, SDPMLineIndex: c.SDPMLineIndex}) // others may do
}

func (w *watcher) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	_ = w.pc.Close()
	w.work.Wait()
}
