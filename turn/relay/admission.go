package relay

import "net/netip"

// Admission says who may be relayed to. The role implements it. Methods are
// called by many goroutines at once, from the fast path, and must not block.
//
// Both directions of each packet are checked. Answers are kept per channel
// binding as long as Generation stays the same, but for no more than a second,
// so that what depends on time need not change the generation.
type Admission interface {
	// Allows says whether data may flow between client, as the listener sees
	// it, and peer, address and port. Both are unmapped and without a zone.
	Allows(client, peer netip.AddrPort) bool
	// Generation changes whenever an answer of Allows may have changed.
	Generation() uint64
}
