package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"

	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v3"
)

// h264Format is what both paths send.
const h264Format = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"

// playoutDelayURI is one of the header extensions that a browser offers
// (http://www.webrtc.org/experiments/rtp-hdrext/playout-delay).
const playoutDelayURI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

// receivers are the viewers' side: pion clients, each with a socket of its own,
// that decrypt, put together and compare every picture. They answer like
// browsers: NACK, receiver reports, TWCC feedback.
type receivers struct {
	ip       string
	loss     atomic.Uint64 // share of RTP to lose, in 2^-32
	sinks    []*net.UDPConn
	pending  *viewer
	all      []*viewer
	lost     atomic.Uint64
	repaired atomic.Uint64
}

func newReceivers(ip string) *receivers { return &receivers{ip: ip} }

func (r *receivers) answer(req request) (res response, err error) {
	switch req.Do {
	case "sink":
		res.Addr, err = r.sink(req.Whole)
	case "offer":
		res.SDP, err = r.offer()
	case "accept":
		err = r.accept(req.SDP)
	case "forget":
		for _, v := range r.all {
			_ = v.pc.Close()
		}
		r.all = nil
	case "expect":
		r.loss.Store(uint64(req.Loss * (1 << 32)))
		r.lost.Store(0)
		r.repaired.Store(0)
		for _, v := range r.all {
			v.expect(newPictures(sizeAt(req.KBits)))
		}
	case "judge":
		res.Seen = verdict{Lost: r.lost.Load(), Repaired: r.repaired.Load()}
		for _, v := range r.all {
			v.judge(&res.Seen, req.First, req.Last)
		}
	default:
		err = fmt.Errorf("unknown request %q", req.Do)
	}
	return res, err
}

// sink opens a socket that nobody reads. It stays open: a closed one would
// answer every packet with an ICMP error, at the sender's cost.
func (r *receivers) sink(whole bool) (string, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(r.ip)})
	if err != nil {
		return "", fmt.Errorf("open sink: %w", err)
	}
	r.sinks = append(r.sinks, conn)
	if whole {
		if err := takeWhole(conn); err != nil {
			return "", fmt.Errorf("open sink: %w", err)
		}
	}
	return conn.LocalAddr().String(), nil
}

func (r *receivers) offer() (string, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(r.ip)})
	if err != nil {
		return "", fmt.Errorf("open socket: %w", err)
	}
	_ = conn.SetReadBuffer(writeBuffer)
	m, interceptors := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := registerViewer(m, interceptors); err != nil {
		return "", err
	}
	settings := newSettings(&lossyConn{UDPConn: conn, owner: r}, r.ip)
	settings.SetSRTPReplayProtectionWindow(reorder) // as browsers; pion's 64 refuses what was resent after 30 ms at 20 Mbit/s
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(interceptors), webrtc.WithSettingEngine(settings))
	v := &viewer{owner: r}
	if v.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return "", fmt.Errorf("make peer connection: %w", err)
	}
	_, err = v.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		return "", fmt.Errorf("ask for video: %w", err)
	}
	v.pc.OnTrack(v.receive)
	r.pending = v
	return describe(v.pc, func() (webrtc.SessionDescription, error) { return v.pc.CreateOffer(nil) })
}

// registerViewer sets what a viewer can do: H.264 with RTX, and the extensions
// and reports of a browser.
func registerViewer(m *webrtc.MediaEngine, interceptors *interceptor.Registry) error {
	feedback := []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	for _, c := range []webrtc.RTPCodecParameters{
		{PayloadType: 102, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: h264Format, RTCPFeedback: feedback,
		}},
		{PayloadType: 103, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: "video/rtx", ClockRate: 90000, SDPFmtpLine: "apt=102",
		}},
	} {
		if err := m.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			return fmt.Errorf("register codec: %w", err)
		}
	}
	for _, uri := range []string{sdp.TransportCCURI, playoutDelayURI} {
		err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo)
		if err != nil {
			return fmt.Errorf("register extension: %w", err)
		}
	}
	if err := webrtc.RegisterDefaultInterceptors(m, interceptors); err != nil {
		return fmt.Errorf("register interceptors: %w", err)
	}
	return nil
}

func (r *receivers) accept(answer string) error {
	if r.pending == nil {
		return errors.New("nothing was offered")
	}
	r.all, r.pending = append(r.all, r.pending), nil
	return r.all[len(r.all)-1].pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
}

// lossyConn throws away some of the RTP that comes in.
type lossyConn struct {
	*net.UDPConn
	owner *receivers
}

func (c *lossyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.UDPConn.ReadFrom(b)
		if loss := c.owner.loss.Load(); err == nil && loss > 0 && isRTP(b[:n]) && uint64(rand.Uint32()) < loss {
			c.owner.lost.Add(1)
			continue
		}
		return n, from, err
	}
}
