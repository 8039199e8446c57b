package peer

import (
	"fmt"
	"strings"
	"time"

	"github.com/pion/webrtc/v3"
)

// What had come from the browser is dealt with after some looks, a tick apart; a
// connection that was made of it is waited for.
const (
	settleTick     = 2 * time.Millisecond
	settleLooks    = 25
	settlePatience = time.Second
)

// settle makes sure that ICE does not connect while pion closes it: pion's stop
// would then look for a multiplexer that its start makes at that moment, without a
// lock (v3.3.6, icetransport.go, Start and stop). It needs the signalling lock.
func (p *Peer) settle() {
	starting := func() bool { return p.transport().State() == webrtc.DTLSTransportStateNew }
	if !p.described || !starting() {
		return // nothing to start with, or it has connected: DTLS comes after ICE
	}
	p.part()
	tick, over := time.NewTicker(settleTick), time.NewTimer(settlePatience)
	defer tick.Stop()
	defer over.Stop()
	for looks := 0; starting(); looks++ {
		if looks == settleLooks && !connected(p.pc.GetStats()) {
			return // what had come is dealt with: it never will
		}
		select {
		case <-tick.C:
		case <-over.C:
			return
		}
	}
}

// part has ICE hear of the browser no more, nor say anything to it: pion's mux would
// note an address that is asked after the ones of the peer were taken out, and keep
// it from all others for ever (v2.3.38, udp_mux.go, RemoveConnByUfrag).
func (p *Peer) part() {
	local := p.pc.LocalDescription()
	if local == nil {
		return
	}
	_, rest, _ := strings.Cut(local.SDP, "a=ice-ufrag:")
	ufrag, _, _ := strings.Cut(rest, "\r\n")
	for _, addr := range p.owner.mux.GetListenAddresses() {
		if conn, err := p.owner.mux.GetConn(ufrag, addr); err == nil {
			_ = conn.Close() // it cannot fail
		}
	}
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

// connected says whether ICE has found a path, as its agent has it.
func connected(report webrtc.StatsReport) bool {
	for _, s := range report {
		if pair, ok := s.(webrtc.ICECandidatePairStats); ok && pair.Nominated {
			return true
		}
	}
	return false
}
