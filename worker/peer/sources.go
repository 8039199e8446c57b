package peer

import (
	"fmt"

	"github.com/pion/ice/v2"
	"github.com/pion/stun"
)

// maxSources is how many addresses the checks of one browser may come from while
// it is connected. One that wanders between networks has a few for each of them.
const maxSources = 256

// errSources ends a peer whose browser tries to fill our memory.
var errSources = fmt.Errorf("%w: it speaks from more than %d addresses", ErrLost, maxSources)

// sources counts the addresses that a browser's connectivity checks come from.
// pion makes a candidate of each (RFC 8445, section 7.3.1.3), with a pair for each
// of our addresses, and forgets none until ICE begins anew; a browser has as many
// as it has ports, or forges. It is used by the agent's goroutine alone.
type sources struct {
	seen map[source]struct{}
	over func() // called for each check from an address too many; must not block
}

type source struct {
	address string
	port    int
}

// check is pion's SettingEngine.SetICEBindingRequestHandler; it never chooses a
// pair.
func (s *sources) check(_ *stun.Message, _, remote ice.Candidate, _ *ice.CandidatePair) bool {
	a := source{remote.Address(), remote.Port()}
	if _, known := s.seen[a]; known {
		return false
	}
	if len(s.seen) == maxSources {
		s.over()
		return false
	}
	s.seen[a] = struct{}{}
	return false
}
