package peer

import (
	"fmt"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// Timeouts of ICE. Between the second and the third a browser whose network
// changed can come back with a new offer: its seat is held for 30 s in all.
const (
	iceKeepalive    = 2 * time.Second
	iceDisconnected = 5 * time.Second
	iceFailed       = 25 * time.Second // after disconnected
)

// sctpReceiveBuffer bounds what a browser may have in flight on the data channels.
const sctpReceiveBuffer = 256 << 10 // bytes

// settings are pion's for all peers but the SRTP profile, which is one alone:
// offered several, Chromium takes SHA1_80, which costs three times as much.
func (l *Listener) settings(profile seal.Profile) webrtc.SettingEngine {
	s := webrtc.SettingEngine{LoggerFactory: pionLogs{l.log}}
	s.SetICEUDPMux(l.mux)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetICETimeouts(iceDisconnected, iceFailed, iceKeepalive)
	s.SetHostAcceptanceMinWait(0)
	s.SetSrflxAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	s.SetRelayAcceptanceMinWait(0)
	s.DisableActiveTCP(true)
	s.DetachDataChannels() // see Peer.read
	s.SetSCTPMaxReceiveBufferSize(sctpReceiveBuffer)
	s.SetDTLSRetransmissionInterval(200 * time.Millisecond)
	s.SetSRTPProtectionProfiles(dtls.SRTPProtectionProfile(profile)) // both number them like the registry
	return s
}

// engine is what pion knows of a codec, made when it is first asked for. Each
// PeerConnection takes a copy.
func (l *Listener) engine(video packetize.Codec) (*webrtc.MediaEngine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.engines[video]; m != nil {
		return m, nil
	}
	m, err := newMediaEngine(video)
	if err == nil {
		l.engines[video] = m
	}
	return m, err
}

// newConnection makes pion's side of a peer. finish is called when its browser
// asks for more than it may have; it must not block.
func (l *Listener) newConnection(o Options, finish func(error)) (*webrtc.PeerConnection, error) {
	config, err := l.configuration(time.Now())
	if err != nil {
		return nil, err
	}
	media, err := l.engine(o.Video)
	if err != nil {
		return nil, err
	}
	s := l.settings(o.SRTP)
	b := buffers{over: func() { finish(errStreams) }}
	s.BufferFactory = b.make
	from := sources{seen: map[source]struct{}{}, over: func() { finish(errSources) }}
	s.SetICEBindingRequestHandler(from.check)
	// pion takes this role where the browser leaves the choice to us; see dtlsClient.
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleClient); err != nil {
		return nil, fmt.Errorf("set DTLS role: %w", err)
	}
	// No interceptors: resends and sender reports are package send's.
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
		webrtc.WithSettingEngine(s))
	pc, err := api.NewPeerConnection(config)
	if err != nil {
		return nil, fmt.Errorf("make peer connection: %w", err)
	}
	return pc, nil
}
