package peer

import (
	"fmt"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v3"
)

// Timeouts of ICE. Between the second and the third a browser whose network
// changed can come back with a new offer.
const (
	iceKeepalive    = 2 * time.Second
	iceDisconnected = 5 * time.Second
	iceFailed       = 20 * time.Second // after disconnected
)

// sctpReceiveBuffer bounds what a browser may have in flight on the data channels.
const sctpReceiveBuffer = 256 << 10 // bytes

// settings are pion's for all peers but the SRTP profile, which is one alone:
// offered several, Chromium takes SHA1_80, which costs three times as much.
func (l *Listener) settings(profile dtls.SRTPProtectionProfile) webrtc.SettingEngine {
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
	s.SetSRTPProtectionProfiles(profile)
	return s
}

// newAPI makes what PeerConnections with o are made by.
func (l *Listener) newAPI(o Options) (*webrtc.API, error) {
	media, err := newMediaEngine(o.video())
	if err != nil {
		return nil, err
	}
	s := l.settings(o.profile())
	// pion takes this role where the browser leaves the choice to us; see dtlsClient.
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleClient); err != nil {
		return nil, fmt.Errorf("set DTLS role: %w", err)
	}
	// No interceptors: resends and sender reports are package send's.
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
		webrtc.WithSettingEngine(s)), nil
}

// api answers the API for o, made when it is first asked for.
func (l *Listener) api(o Options) (*webrtc.API, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.apis[o]; a != nil {
		return a, nil
	}
	a, err := l.newAPI(o)
	if err == nil {
		l.apis[o] = a
	}
	return a, err
}
