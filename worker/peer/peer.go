// Package peer is one browser as the worker sees it: a PeerConnection that
// carries a picture and sound to it, and input and control messages from it.
//
// All peers of a worker share a Listener: one UDP port, one certificate. The
// browser offers, we answer with all our candidates at once; the browser's own
// may trickle in. pion does ICE, DTLS, data channels and RTCP's encryption; media
// goes past it, from a send.Viewer with the keys of the connection straight to
// the socket that both share (package send), unless those cannot be had.
package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v3"
	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// Queues of the control channel.
const (
	controlQueue = 64        // messages before the channel opens; overflow: dropped
	controlBytes = 256 << 10 // bytes on their way on the channel; overflow: dropped
)

// Times of a peer.
const (
	gatherTimeout = 2 * time.Second        // host candidates only: it takes a millisecond
	flushTimeout  = 200 * time.Millisecond // for the last control messages
	firstPatience = 30 * time.Second       // to be connected for the first time; pages wait no longer (web/app/repair.js)
)

// Why a peer ended.
var (
	ErrLeft   = errors.New("the browser left")
	ErrLost   = errors.New("the connection to the browser was lost")
	ErrClosed = errors.New("the peer was closed")
	// ErrSRTP is what most likely happened when ICE found a path and DTLS failed
	// before the first connection: the browser knows no AES-GCM. A new peer with
	// SHA1_80 (Options.SRTP) may help.
	ErrSRTP = errors.New("the browser and we have no cipher for media in common")
)

// errStreams ends a peer whose browser tries to fill our memory.
var errStreams = fmt.Errorf("%w: it names more than %d streams", ErrLost, maxStreams)

// Events is what a peer tells its owner, from several goroutines of its own.
// None may block, nor call Close or Run. Slices belong to the receiver.
type Events struct {
	Ready    func()       // connected, or connected again: pictures can flow
	Lost     func()       // nothing has come from the browser for a while; it may yet. May be nil
	KeyFrame func()       // the browser, or a full queue, needs a key frame; not to call the Viewer
	Input    func([]byte) // a datagram of channel `input`
	Control  func([]byte) // a message of channel `control`
}

// Stats counts what happened to one viewer.
type Stats struct {
	send.ViewerStats
	Controls, ControlsDropped uint64
}

// Peer is one browser. Its methods may be called from any goroutine.
type Peer struct {
	log    *slog.Logger
	owner  *Listener
	events Events
	srtp   seal.Profile // that is offered
	pc     *webrtc.PeerConnection

	video, audio             *track
	videoSender, audioSender *webrtc.RTPSender
	control                  *webrtc.DataChannel

	states sync.Mutex                              // held by connectionChanged
	ready  atomic.Bool                             // was connected
	pair   atomic.Pointer[webrtc.ICECandidatePair] // that ICE has selected last
	viewer atomic.Pointer[send.Viewer]             // set by the first Answer

	opening  sync.Mutex // guards what openPath learns
	client   bool       // of DTLS; set by the first Answer
	keys     *srtpKeys  // nil until known
	fallback bool       // they never will be

	controls, controlsDropped atomic.Uint64

	signalling sync.Mutex // one Answer or AddCandidate at a time
	described  bool       // the browser's description is set
	ice        string     // its credentials
	remote     int        // candidates that came with them
	early      []webrtc.ICECandidateInit

	talk    sync.Mutex // guards the control channel's queue and the readers
	open    bool
	pending []string
	drained chan struct{}
	readers []reader
	freed   bool
	reading sync.WaitGroup // one for each of readers

	end      chan struct{} // closed when the peer should end
	endOnce  sync.Once
	endErr   error
	teardown sync.Once
	running  sync.Mutex // held by Run
}

// Open makes a peer. It runs when its Answer was given and Run was called; it
// must be closed in any case.
func (l *Listener) Open(events Events, o Options) (*Peer, error) {
	o = o.complete()
	p := &Peer{
		log: l.log, owner: l, events: events, srtp: o.SRTP,
		video: newTrack(o.Video), audio: newTrack(packetize.Opus),
		drained: make(chan struct{}, 1), end: make(chan struct{}),
	}
	pc, err := l.newConnection(o, p.finish)
	if err != nil {
		return nil, err
	}
	p.pc = pc
	if err := errors.Join(p.addTracks(), p.addChannels()); err != nil {
		p.Close()
		return nil, err
	}
	pc.OnConnectionStateChange(p.connectionChanged)
	// pion must not be asked for the pair in here: who closes the agent holds its
	// lock and waits for us (v3.3.6, icegatherer.go, close).
	p.transport().ICETransport().OnSelectedCandidatePairChange(func(pair *webrtc.ICECandidatePair) {
		p.pair.Store(pair)
		p.openPath()
	})
	return p, nil
}

func (p *Peer) addTracks() error {
	sendonly := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
	video, err := p.pc.AddTransceiverFromTrack(p.video, sendonly)
	if err != nil {
		return fmt.Errorf("add video: %w", err)
	}
	audio, err := p.pc.AddTransceiverFromTrack(p.audio, sendonly)
	if err != nil {
		return fmt.Errorf("add audio: %w", err)
	}
	p.videoSender, p.audioSender = video.Sender(), audio.Sender()
	return nil
}

// connectionChanged is called from a goroutine for each change, so in any order.
func (p *Peer) connectionChanged(state webrtc.PeerConnectionState) {
	p.states.Lock()
	defer p.states.Unlock()
	p.log.Debug("peer connection", "state", state.String())
	if state == webrtc.PeerConnectionStateFailed {
		if p.srtp != seal.AES128CMHMACSHA180 && !p.ready.Load() && p.transport().State() == webrtc.DTLSTransportStateFailed {
			p.finish(ErrSRTP)
			return
		}
		p.finish(ErrLost)
		return
	}
	switch p.pc.ConnectionState() { // the last of these calls sees the last state
	case webrtc.PeerConnectionStateConnected:
		p.ready.Store(true)
		p.openPath()
		p.events.Ready()
	case webrtc.PeerConnectionStateDisconnected:
		if p.events.Lost != nil {
			p.events.Lost()
		}
	}
}

// transport carries all that goes to the browser and comes from it.
func (p *Peer) transport() *webrtc.DTLSTransport { return p.pc.SCTP().Transport() }

// Answer takes an offer, the first one or that of an ICE restart, and returns
// the answer with all our candidates that can be of use. host is how the browser
// reached the coordinator, "" if unknown. The error wraps ErrOffer if it is the offer's fault,
// and is ErrClosed if the peer has ended.
func (p *Peer) Answer(ctx context.Context, offer, host string) (string, error) {
	o, err := readOffer(offer)
	if err != nil {
		return "", err
	}
	p.signalling.Lock()
	defer p.signalling.Unlock()
	if err := p.describe(offer, o); err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", p.refusal(err)
	}
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return "", p.refusal(err)
	}
	if _, _, ok := p.video.bound(); !ok {
		return "", p.refusal(webrtc.ErrUnsupportedCodec)
	}
	p.agree(o.client)
	select {
	case <-gathered:
	case <-time.After(gatherTimeout):
	case <-ctx.Done():
		return "", ctx.Err()
	case <-p.end:
		return "", ErrClosed
	}
	video, _, _ := p.video.bound()
	l := p.owner
	return finishAnswer(p.pc.LocalDescription().SDP, video, extraAddrs(l.own, l.mapped, host), hiddenAddrs(l.own, host), l.port)
}

// refusal is why an offer has no answer, in words for the page's people if it is
// the codec.
func (p *Peer) refusal(err error) error {
	if errors.Is(err, webrtc.ErrUnsupportedCodec) || errors.Is(err, webrtc.ErrSenderWithNoCodecs) {
		err = fmt.Errorf("the browser does not take what we send: %s", wanted(p.video.codec))
	}
	return fmt.Errorf("%w: %w", ErrOffer, err)
}

// describe hands an offer to pion, which forgets the candidates of an earlier one
// only if the credentials are others.
func (p *Peer) describe(offer string, o offered) error {
	select {
	case <-p.end: // pion would begin to gather, and nothing ends that
		return ErrClosed
	default:
	}
	anew := p.described && o.credentials != p.ice
	if p.remote += o.candidates; p.remote > maxRemote && !anew {
		return tooManyCandidates()
	}
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOffer, err)
	}
	if anew {
		p.remote = o.candidates
	}
	p.described, p.ice = true, o.credentials
	for _, c := range p.early {
		p.addCandidate(c)
	}
	p.early = nil
	return nil
}

// agree makes the viewer of what the first offer has led to.
func (p *Peer) agree(client bool) {
	p.opening.Lock()
	defer p.opening.Unlock()
	if p.viewer.Load() != nil {
		return
	}
	p.client = client
	video, _, _ := p.video.bound()
	audio, _, _ := p.audio.bound() // zero if it takes no sound
	p.viewer.Store(send.NewViewer(send.ViewerConfig{
		Video: video, Audio: audio, KeyFrame: p.events.KeyFrame, Report: p.pc.WriteRTCP,
	}))
}

// AddCandidate adds an ICE candidate of the browser; an empty one says that
// there are no more. One that pion cannot use (an mDNS name) is ignored.
func (p *Peer) AddCandidate(candidate string, mid *string, line *uint16) error {
	if len(candidate) > maxCandidate {
		return fmt.Errorf("%w: candidate of %d bytes, at most %d", ErrOffer, len(candidate), maxCandidate)
	}
	p.signalling.Lock()
	defer p.signalling.Unlock()
	if p.remote++; p.remote > maxRemote {
		return tooManyCandidates()
	}
	init := webrtc.ICECandidateInit{Candidate: candidate, SDPMid: mid, SDPMLineIndex: line}
	if !p.described {
		p.early = append(p.early, init)
		return nil
	}
	p.addCandidate(init)
	return nil
}

func (p *Peer) addCandidate(c webrtc.ICECandidateInit) {
	if err := p.pc.AddICECandidate(c); err != nil {
		p.log.Debug("candidate ignored", "error", err)
	}
}

// Profile is the best H.264 profile that the browser takes, valid after Answer.
func (p *Peer) Profile() media.Profile {
	_, profile, _ := p.video.bound()
	return profile
}

// Viewer is what a send.Sender sends to, nil before the first Answer. The peer
// opens and closes it.
func (p *Peer) Viewer() *send.Viewer { return p.viewer.Load() }

// Run carries media until ctx ends, Close is called or the browser is gone,
// then frees everything and returns why: ErrClosed, ErrLeft, ErrLost or ErrSRTP.
func (p *Peer) Run(ctx context.Context) error {
	p.running.Lock()
	defer p.running.Unlock()
	var g errgroup.Group
	g.Go(func() error { p.readRTCP(p.videoSender, p.video); return nil })
	g.Go(func() error { p.readRTCP(p.audioSender, p.audio); return nil })
	p.wait(ctx)
	if !errors.Is(p.endErr, ErrLost) && !errors.Is(p.endErr, ErrSRTP) {
		p.flushControl()
	}
	p.free()
	_ = g.Wait()
	return p.endErr
}

// wait returns when the peer has to end.
func (p *Peer) wait(ctx context.Context) {
	first := time.NewTimer(firstPatience)
	defer first.Stop()
	for {
		select {
		case <-ctx.Done():
			p.finish(ErrClosed)
			return
		case <-p.end:
			return
		case <-first.C:
			if !p.ready.Load() {
				p.finish(fmt.Errorf("%w: no path to it was found within %s", ErrLost, firstPatience))
			}
		}
	}
}

// Close ends the peer and returns when all its goroutines have ended.
func (p *Peer) Close() {
	p.finish(ErrClosed)
	p.running.Lock() // Run, if it was called, frees and ends
	defer p.running.Unlock()
	p.free()
}

// finish makes the peer end for the given reason; the first one counts.
func (p *Peer) finish(reason error) {
	p.endOnce.Do(func() {
		p.endErr = reason
		close(p.end)
	})
}

func (p *Peer) free() {
	p.teardown.Do(func() {
		p.stopReading()
		p.signalling.Lock() // an Answer that waits ends now
		defer p.signalling.Unlock()
		p.settle()
		if err := p.closeConnection(); err != nil {
			p.log.Debug("close peer connection", "error", err)
		}
		if viewer := p.viewer.Load(); viewer != nil {
			viewer.Close() // now that pion's writer does not block
		}
		p.reading.Wait()
	})
}

// Stats is what happened so far.
func (p *Peer) Stats() Stats {
	s := Stats{Controls: p.controls.Load(), ControlsDropped: p.controlsDropped.Load()}
	if viewer := p.viewer.Load(); viewer != nil {
		s.ViewerStats = viewer.Stats()
	}
	return s
}
