// Package peer is one browser as the worker sees it: a PeerConnection that
// carries a picture and sound to it, and input and control messages from it.
//
// All peers of a worker share a Listener: one UDP port, one certificate. The
// browser offers, we answer with all our candidates at once; the browser's own
// may trickle in. Encoded frames are cut into RTP payloads once (Packetizer)
// and shared by all viewers.
package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"
	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/media"
)

// Queues of one viewer.
const (
	videoQueue   = 8         // frames; overflow: frames are dropped up to the next key frame
	audioQueue   = 16        // packets; overflow: the oldest one is dropped
	controlQueue = 64        // messages before the channel opens; overflow: dropped
	controlBytes = 256 << 10 // bytes on their way on the channel; overflow: dropped
)

// maxBadRTCP is how many malformed RTCP packets of a browser are put up with.
const maxBadRTCP = 1000

// Times of a peer.
const (
	gatherTimeout = 2 * time.Second        // host candidates only: it takes a millisecond
	flushTimeout  = 200 * time.Millisecond // for the last control messages
	firstPatience = 15 * time.Second       // to be connected for the first time; pages wait no longer
)

// Why a peer ended.
var (
	ErrLeft   = errors.New("the browser left")
	ErrLost   = errors.New("the connection to the browser was lost")
	ErrClosed = errors.New("the peer was closed")
	// ErrSRTP is what most likely happened when ICE found a path and DTLS failed
	// before the first connection: the browser knows no AES-GCM. A new peer with
	// Options.SHA1 may help.
	ErrSRTP = errors.New("the browser and we have no cipher for media in common")
)

// Events is what a peer tells its owner, from several goroutines of its own.
// None may block, nor call Close or Run. Slices belong to the receiver.
type Events struct {
	Ready    func()       // connected, or connected again: pictures can flow
	KeyFrame func()       // the browser, or a full queue, needs a key frame
	Input    func([]byte) // a datagram of channel `input`
	Control  func([]byte) // a message of channel `control`
}

// Stats counts what happened to one viewer.
type Stats struct {
	Frames, FramesDropped     uint64
	Sounds, SoundsDropped     uint64
	Bytes                     uint64 // of RTP, video and audio
	KeyFramesAsked            uint64 // PLI and FIR
	Controls, ControlsDropped uint64
	WriteErrors               uint64
}

type counters struct {
	frames, framesDropped, sounds, soundsDropped, bytes atomic.Uint64
	asked, controls, controlsDropped, writeErrors       atomic.Uint64
}

// Peer is one browser. Its methods may be called from any goroutine, Video and
// Audio from one goroutine each.
type Peer struct {
	log    *slog.Logger
	owner  *Listener
	events Events
	sha1   bool // see Options
	pc     *webrtc.PeerConnection

	video, audio             *track
	videoSender, audioSender *webrtc.RTPSender
	control                  *webrtc.DataChannel

	frames  chan *Frame
	sounds  chan *Sound
	ready   atomic.Bool
	needKey atomic.Bool // frames are dropped until a key frame comes
	count   counters

	signalling sync.Mutex // one Answer or AddCandidate at a time
	described  bool       // the browser's description is set
	remote     int        // candidates since then
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
	config, err := l.configuration(time.Now())
	if err != nil {
		return nil, err
	}
	api, err := l.api(o)
	if err != nil {
		return nil, err
	}
	pc, err := api.NewPeerConnection(config)
	if err != nil {
		return nil, fmt.Errorf("make peer connection: %w", err)
	}
	p := &Peer{
		log: l.log, owner: l, events: events, sha1: o.SHA1, pc: pc,
		video: newTrack(webrtc.RTPCodecTypeVideo), audio: newTrack(webrtc.RTPCodecTypeAudio),
		frames: make(chan *Frame, videoQueue), sounds: make(chan *Sound, audioQueue),
		drained: make(chan struct{}, 1), end: make(chan struct{}),
	}
	p.needKey.Store(true)
	if err := errors.Join(p.addTracks(), p.addChannels()); err != nil {
		p.Close()
		return nil, err
	}
	pc.OnConnectionStateChange(p.connectionChanged)
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

func (p *Peer) connectionChanged(state webrtc.PeerConnectionState) {
	p.log.Debug("peer connection", "state", state.String())
	switch state {
	case webrtc.PeerConnectionStateConnected:
		p.needKey.Store(true)
		p.ready.Store(true)
		p.events.Ready()
	case webrtc.PeerConnectionStateFailed:
		if !p.sha1 && !p.ready.Load() && p.transport().State() == webrtc.DTLSTransportStateFailed {
			p.finish(ErrSRTP)
			return
		}
		p.finish(ErrLost)
	}
}

// transport carries all that goes to the browser and comes from it.
func (p *Peer) transport() *webrtc.DTLSTransport { return p.pc.SCTP().Transport() }

// Answer takes an offer, the first one or that of an ICE restart, and returns
// the answer with all our candidates. host is how the browser reached the
// coordinator, "" if unknown. The error wraps ErrOffer if it is the offer's fault.
func (p *Peer) Answer(ctx context.Context, offer, host string) (string, error) {
	if err := CheckOffer(offer); err != nil {
		return "", err
	}
	p.signalling.Lock()
	defer p.signalling.Unlock()
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	p.described, p.remote = true, 0
	for _, c := range p.early {
		p.addCandidate(c)
	}
	p.early = nil
	gathered := webrtc.GatheringCompletePromise(p.pc)
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	if err := p.pc.SetLocalDescription(answer); err != nil {
		if errors.Is(err, webrtc.ErrUnsupportedCodec) {
			err = errors.New("the browser takes neither H.264 Main nor Baseline in packetization mode 1")
		}
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	if _, ok := p.video.bound(); !ok {
		return "", fmt.Errorf("%w: the browser takes no H.264", ErrOffer)
	}
	select {
	case <-gathered:
	case <-time.After(gatherTimeout):
	case <-ctx.Done():
		return "", ctx.Err()
	case <-p.end:
		return "", ErrClosed
	}
	return addCandidates(p.pc.LocalDescription().SDP, extraAddrs(p.owner.own, p.owner.mapped, host), p.owner.port)
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
		return fmt.Errorf("%w: more than %d candidates", ErrOffer, maxRemote)
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
	profile, _ := p.video.bound()
	return profile
}

// Run carries media until ctx ends, Close is called or the browser is gone,
// then frees everything and returns why: ErrClosed, ErrLeft, ErrLost or ErrSRTP.
func (p *Peer) Run(ctx context.Context) error {
	p.running.Lock()
	defer p.running.Unlock()
	var g errgroup.Group
	g.Go(func() error { p.sendFrames(); return nil })
	g.Go(func() error { p.sendSounds(); return nil })
	g.Go(func() error { p.readRTCP(p.videoSender); return nil })
	g.Go(func() error { p.readRTCP(p.audioSender); return nil })
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
		if err := p.closeConnection(); err != nil {
			p.log.Debug("close peer connection", "error", err)
		}
		p.reading.Wait()
	})
}

// closeConnection closes pion's side. If ICE connects at the very moment that it
// is stopped, pion's ICETransport may find a multiplexer that it did not see
// before and close a nil one (v3.3.6, icetransport.go, stop): the agent is
// closed by then, and one browser must not end the games of all.
func (p *Peer) closeConnection() (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("pion: %v", cause)
		}
	}()
	return p.pc.GracefulClose()
}

// readRTCP reads what the browser reports on one stream, until it is closed.
// pion's interceptors look at it first and answer the NACKs.
func (p *Peer) readRTCP(s *webrtc.RTPSender) {
	for bad := 0; bad < maxBadRTCP; {
		packets, _, err := s.ReadRTCP()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
			return
		}
		if err != nil {
			bad++ // malformed; the next one may be well
			continue
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				p.count.asked.Add(1)
				p.events.KeyFrame()
			}
		}
	}
	p.finish(fmt.Errorf("%w: it sends malformed RTCP", ErrLost))
}

// Stats is what happened so far.
func (p *Peer) Stats() Stats {
	c := &p.count
	return Stats{
		Frames: c.frames.Load(), FramesDropped: c.framesDropped.Load(),
		Sounds: c.sounds.Load(), SoundsDropped: c.soundsDropped.Load(),
		Bytes: c.bytes.Load(), KeyFramesAsked: c.asked.Load(),
		Controls: c.controls.Load(), ControlsDropped: c.controlsDropped.Load(),
		WriteErrors: c.writeErrors.Load(),
	}
}
