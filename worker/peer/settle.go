package peer

import (
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
	if local := p.pc.LocalDescription(); local != nil {
		_, rest, _ := strings.Cut(local.SDP, "a=ice-ufrag:")
		ufrag, _, _ := strings.Cut(rest, "\r\n")
		p.owner.mux.RemoveConnByUfrag(ufrag) // it hears of the browser no more
	}
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

// connected says whether ICE has found a path, as its agent has it.
func connected(report webrtc.StatsReport) bool {
	for _, s := range report {
		if pair, ok := s.(webrtc.ICECandidatePairStats); ok && pair.Nominated {
			return true
		}
	}
	return false
}
