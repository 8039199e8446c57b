package turn

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"
)

// settings are what of a Config a gate looks at each time that it needs them: a
// snapshot that nobody writes to. The limits of allocations are with the quota.
type settings struct {
	bandwidth  int64 // of an allocation that is opened from now on, bit/s
	drainGrace time.Duration
}

// Reconfigure takes what of next may change while the gate runs: Secrets, Users,
// Peers, MaxAllocations, MaxPerUser, MaxPerAddress, MaxBandwidth and DrainGrace;
// the rest is not looked at. Open allocations live on, with the credential and
// the bandwidth that they were opened with and however many they are; to a peer
// that is taken out nothing new is bound. With an error nothing has changed. It
// may be called at any time.
func (g *Gate) Reconfigure(next Config) error {
	if err := next.checkBandwidth(); err != nil {
		return fmt.Errorf("turn: %w", err)
	}
	if err := g.SetCredentials(next.credentials()); err != nil {
		return err
	}
	g.admission.open(append([]Peer(nil), next.Peers...), nil)
	g.limit(next)
	return nil
}

// limit takes the limits of cfg.
func (g *Gate) limit(cfg Config) {
	g.quota.limit(cmp.Or(cfg.MaxAllocations, defaultMaxAllocations), cmp.Or(cfg.MaxPerUser, defaultMaxPerUser), cfg.MaxPerAddress)
	g.current.Store(&settings{cfg.MaxBandwidth, cfg.DrainGrace})
}

// Reconfigure takes the limits of next, as Gate.Reconfigure does, for all gates of
// the fleet; the rest comes by Apply.
func (f *Fleet) Reconfigure(next Config) error {
	if err := next.checkBandwidth(); err != nil {
		return fmt.Errorf("turn: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.base.MaxAllocations, f.base.MaxPerUser, f.base.MaxPerAddress = next.MaxAllocations, next.MaxPerUser, next.MaxPerAddress
	f.base.MaxBandwidth, f.base.DrainGrace = next.MaxBandwidth, next.DrainGrace
	next.DrainGrace = 0 // see open
	for _, m := range f.members {
		m.gate.limit(next)
	}
	return nil
}

// Alive returns when every lock that requests need was free once: a gate that
// does not answer soon hangs. It may be called at any time.
func (g *Gate) Alive() {
	g.quota.count()
	g.admission.mu.Lock()
	g.admission.mu.Unlock() //nolint:staticcheck // that it could be had is all there is to know
	g.admission.leave(netip.AddrPort{})
	for _, d := range g.doors {
		d.allocation(netip.AddrPort{})
	}
}

// Alive is that of all gates. It may be called at any time.
func (f *Fleet) Alive() {
	f.mu.Lock()
	gates := make([]*Gate, 0, len(f.members))
	for _, m := range f.members {
		gates = append(gates, m.gate)
	}
	f.mu.Unlock()
	for _, g := range gates {
		g.Alive()
	}
}
