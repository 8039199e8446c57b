package coordinator

import (
	"cmp"
	"maps"
	"slices"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// addGate registers a gate, which is to be told the peers.
func (r *registry) addGate(g *gateLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gates[g] = struct{}{}
	g.push()
}

func (r *registry) removeGate(g *gateLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.gates, g)
}

// drainGate keeps pages from a gate that opens no more relays. It still hears
// of workers, for the sake of those that are open.
func (r *registry) drainGate(g *gateLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g.draining = true
}

// gateURLs are the URLs of each gate that is not draining, in a stable order.
func (r *registry) gateURLs() [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	gates := slices.SortedFunc(maps.Keys(r.gates), func(a, b *gateLink) int { return cmp.Compare(a.id, b.id) })
	urls := make([][]string, 0, len(gates))
	for i, g := range gates {
		if g.draining || i > 0 && gates[i-1].id == g.id {
			continue // reconnected, and the old connection is not yet missed
		}
		urls = append(urls, g.urls)
	}
	return urls
}

// pushPeers has all gates told of workers that came or went. r.mu is held.
func (r *registry) pushPeers() {
	for g := range r.gates {
		g.push()
	}
}

// push has tellPeers look at the peers again.
func (g *gateLink) push() {
	select {
	case g.changed <- struct{}{}:
	default: // it is going to
	}
}

// peers are the media addresses of all workers.
func (r *registry) peers() []string {
	r.mu.Lock()
	addrs := make([]string, 0, len(r.workers))
	for _, w := range r.workers {
		addrs = append(addrs, w.mediaAddrs...)
	}
	r.mu.Unlock()
	slices.Sort(addrs)
	addrs = slices.Compact(addrs)
	return addrs[:min(len(addrs), signal.MaxPeers)]
}
