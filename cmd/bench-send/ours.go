package main

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// ours is package send at full speed: the Sender of one room takes turn after
// turn on a clock of its own, on which pictures are 1/60 s apart, so that pacing,
// reports and estimates do all that they do in real time. Viewers are real peer
// connections: reports leave through pion, and their RTCP comes in. Packets are
// sealed under keys that nobody knows, since nobody reads them.
type ours struct {
	api      *webrtc.API
	conn     *batch.Conn
	sender   *send.Sender
	stats    send.Stats
	now      atomic.Int64 // on the Sender's clock, ns
	keyAsked *atomic.Bool
	all      connections
	viewers  []*send.Viewer
}

var _ path = (*ours)(nil)

// pictureEvery is the time from one picture to the next.
const pictureEvery = time.Second / fps

func newOurs(r role, keyAsked *atomic.Bool) (*ours, error) {
	addr, err := netip.ParseAddr(r.IP)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	o := &ours{keyAsked: keyAsked}
	o.now.Store(int64(time.Second))
	cfg := batch.Config{}
	if r.NoGSO {
		cfg.Fault = func(int) error { return syscall.EIO }
	}
	if o.conn, err = batch.Listen(netip.AddrPortFrom(addr, 0), cfg); err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	o.sender = send.New(send.Config{Stats: &o.stats, Now: o.clock})
	settings := newSettings(o.conn, r.IP)
	settings.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM)
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, fmt.Errorf("register codecs: %w", err)
	}
	for _, uri := range []string{sdp.TransportCCURI, playoutDelayURI} {
		err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo)
		if err != nil {
			return nil, fmt.Errorf("register extension: %w", err)
		}
	}
	o.api = webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(settings),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	return o, nil
}

func (o *ours) answer(offer string) (string, error) {
	pc, err := o.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", fmt.Errorf("make peer connection: %w", err)
	}
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: h264Format,
	}, "video", "game")
	if err != nil {
		return "", fmt.Errorf("make track: %w", err)
	}
	rtp, err := pc.AddTrack(track)
	if err != nil {
		return "", fmt.Errorf("add track: %w", err)
	}
	o.all.watch(pc)
	answer, err := accept(pc, offer)
	if err != nil {
		return "", err
	}
	stream, err := negotiated(rtp)
	if err != nil {
		return "", err
	}
	v := send.NewViewer(send.ViewerConfig{Video: stream, KeyFrame: func() { o.keyAsked.Store(true) }, Report: pc.WriteRTCP})
	o.viewers = append(o.viewers, v)
	go func() {
		buf := make([]byte, 1500)
		for {
			n, _, err := rtp.Read(buf)
			if err != nil {
				return
			}
			_ = v.Feedback(buf[:n], stream.SSRC) // what is malformed is counted
		}
	}()
	return answer, nil
}

// negotiated is what the answer says about the video stream.
func negotiated(rtp *webrtc.RTPSender) (send.Stream, error) {
	p := rtp.GetParameters()
	if len(p.Encodings) == 0 || len(p.Codecs) == 0 {
		return send.Stream{}, errors.New("no video was negotiated")
	}
	s := send.Stream{
		Codec: packetize.H264, SSRC: uint32(p.Encodings[0].SSRC), PayloadType: uint8(p.Codecs[0].PayloadType),
	}
	for _, e := range p.HeaderExtensions {
		switch e.URI {
		case sdp.TransportCCURI:
			s.TWCC = uint8(e.ID)
		case playoutDelayURI:
			s.PlayoutDelay = uint8(e.ID)
		}
	}
	if s.TWCC == 0 {
		return s, errors.New("no transport-wide sequence numbers were negotiated")
	}
	return s, nil
}

func (o *ours) open(sink netip.AddrPort) error {
	if !sink.IsValid() {
		return errors.New("only a sink is sent to")
	}
	if err := o.all.await(); err != nil {
		return err
	}
	profile := seal.AEADAES128GCM
	for _, v := range o.viewers {
		o.sender.Attach(v)
		err := v.Open(send.Path{
			Conn: o.conn, Remote: sink, Profile: profile,
			Key: make([]byte, profile.KeyLen()), Salt: make([]byte, profile.SaltLen()),
		})
		if err != nil {
			return fmt.Errorf("open viewer: %w", err)
		}
	}
	return nil
}

func (o *ours) clock() time.Duration { return time.Duration(o.now.Load()) }

// send offers a picture, and takes all turns until the next one is due.
func (o *ours) send(picture []byte, key bool, _ uint64) error {
	begin := o.clock()
	end := begin + pictureEvery
	if !o.sender.Video(send.Frame{Codec: packetize.H264, Data: picture, Key: key, PTS: begin}) {
		return errors.New("no viewer takes it")
	}
	for next := begin; next > 0 && next < end; {
		o.now.Store(int64(next))
		next = o.sender.Turn(next)
	}
	o.now.Store(int64(end))
	return nil
}

func (o *ours) count() counts {
	s := o.conn.Stats()
	return counts{Syscalls: s.Syscalls, Messages: s.Messages}.of(o.stats.Snapshot())
}

// of adds what Senders have counted.
func (c counts) of(t send.Totals) counts {
	c.Packets, c.Bytes = t.Packets, t.Bytes
	c.Resent = t.ResentPlain + t.ResentRTX
	c.Refused = t.RefusedGone + t.RefusedUnknown + t.RefusedSoon + t.RefusedBudget
	c.Dropped = t.FramesDroppedSlow + t.FramesDroppedWaiting
	c.KeyFrames = t.KeyFramesAsked
	return c
}
