package main

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v3"
)

// Times that a handshake may take.
const (
	gatherTimeout  = 30 * time.Second
	connectTimeout = 30 * time.Second
)

// newSettings are those of both ends: one address, no log, a quick choice of
// the pair, which every viewer has but one of.
func newSettings(conn net.PacketConn, ip string) webrtc.SettingEngine {
	logs := logging.NewDefaultLoggerFactory()
	logs.DefaultLogLevel = logging.LogLevelDisabled
	s := webrtc.SettingEngine{LoggerFactory: logs}
	s.SetICEUDPMux(ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: logs.NewLogger("mux")}))
	s.SetIncludeLoopbackCandidate(true)
	s.SetIPFilter(func(candidate net.IP) bool { return candidate.String() == ip })
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetHostAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	// A busy sender answers late; that must not end a measurement.
	s.SetICETimeouts(30*time.Second, 60*time.Second, 2*time.Second)
	return s
}

// describe sets the description that make makes, and returns it with all candidates.
func describe(pc *webrtc.PeerConnection, create func() (webrtc.SessionDescription, error)) (string, error) {
	d, err := create()
	if err != nil {
		return "", fmt.Errorf("make description: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		return "", fmt.Errorf("set own description: %w", err)
	}
	select {
	case <-gathered:
		return pc.LocalDescription().SDP, nil
	case <-time.After(gatherTimeout):
		return "", errors.New("gathering candidates takes too long")
	}
}

// accept takes an offer and returns the answer.
func accept(pc *webrtc.PeerConnection, offer string) (string, error) {
	err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", fmt.Errorf("take offer: %w", err)
	}
	return describe(pc, func() (webrtc.SessionDescription, error) { return pc.CreateAnswer(nil) })
}

// connections waits for peer connections.
type connections struct {
	wait []chan struct{}
}

// watch adds one.
func (c *connections) watch(pc *webrtc.PeerConnection) {
	connected := make(chan struct{})
	var once sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(connected) })
		}
	})
	c.wait = append(c.wait, connected)
}

// await returns when all of them are connected.
func (c *connections) await() error {
	late := time.After(connectTimeout)
	for i, connected := range c.wait {
		select {
		case <-connected:
		case <-late:
			return fmt.Errorf("viewer %d of %d does not connect", i+1, len(c.wait))
		}
	}
	return nil
}
