package uplink

import "github.com/cloudretro/cloudretro/coordinator/signal"

// PassOn tells who waits at one coordinator, which came by the link from, to all
// others; see signal.Queue. Of several lists of a coordinator that a link has not
// written yet it writes the last.
func (k *Keeper) PassOn(from *Link, q signal.Queue) {
	for _, l := range k.Links() {
		if l != from && l.Coordinator() != q.Coordinator {
			l.Announce("queue "+q.Coordinator, func() (signal.Type, any) { return signal.TypeQueue, q })
		}
	}
}
