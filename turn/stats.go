package turn

import (
	"cmp"
	"slices"

	"github.com/cloudretro/cloudretro/turn/relay"
)

// Stats is a snapshot of a gate. Numbers are since its start unless they say
// otherwise.
type Stats struct {
	Allocations int  // open now
	Peers       int  // addresses of workers that are relayed to now
	Draining    bool // no new allocation is made
	Listeners   []ListenerStats
}

// ListenerStats is a snapshot of one listener.
type ListenerStats struct {
	Protocol, Name string // as configured; Name is the address where none was given
	// Opened is the number of allocations that were made.
	Opened uint64
	// Refused requests by cause; those of index 0 are none.
	Refused [Refusals]uint64
	// Relay is what the fast path counts.
	Relay relay.Stats
}

// Stats may be called at any time.
func (g *Gate) Stats() Stats {
	s := Stats{Allocations: g.quota.count(), Peers: g.admission.count(), Draining: g.draining.Load()}
	for _, d := range g.doors {
		l := ListenerStats{
			Protocol: d.listener.Protocol, Name: d.listener.name(),
			Opened: d.opened.Load(), Relay: d.Listener.Stats(),
		}
		for i := range l.Refused {
			l.Refused[i] = d.refused[i].Load()
		}
		s.Listeners = append(s.Listeners, l)
	}
	return s
}

// Refused sums one cause over all listeners.
func (s Stats) Refused(why Refusal) uint64 {
	var sum uint64
	for _, l := range s.Listeners {
		sum += l.Refused[why]
	}
	return sum
}

// plus is the sum of two listeners of one kind and name.
func (l ListenerStats) plus(o ListenerStats) ListenerStats {
	l.Protocol, l.Name = cmp.Or(l.Protocol, o.Protocol), cmp.Or(l.Name, o.Name)
	l.Opened += o.Opened
	for i := range l.Refused {
		l.Refused[i] += o.Refused[i]
	}
	l.Relay = l.Relay.Plus(o.Relay)
	return l
}

// Plus is the sum of two gates that have no listener in common.
func (s Stats) Plus(o Stats) Stats {
	s.Allocations += o.Allocations
	s.Peers += o.Peers
	s.Draining = s.Draining || o.Draining
	s.Listeners = slices.Concat(s.Listeners, o.Listeners)
	return s
}
