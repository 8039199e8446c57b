package coordinator

import (
	"context"
	"slices"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// relaySource says where browsers find the gates.
type relaySource interface {
	// Watch calls update with all URLs (RFC 7065) whenever they changed, one call
	// at a time, until ctx ends. An empty host ("turn::30478?transport=udp")
	// stands for that by which the browser found the page.
	Watch(ctx context.Context, update func(urls []string))
}

// followRelays takes what Config.Relays says until ctx ends. What is no URL of a
// gate is left out: browsers refuse a whole list for it.
func (c *Coordinator) followRelays(ctx context.Context) {
	c.cfg.Relays.Watch(ctx, func(urls []string) {
		good := make([]string, 0, min(len(urls), signal.MaxURLs))
		for _, u := range urls {
			server := signal.ICEServer{URLs: withHost([]string{u}, "host")}
			if len(good) < signal.MaxURLs && !slices.Contains(good, u) && server.Validate() == nil {
				good = append(good, u)
			}
		}
		c.relays.Store(&good)
		c.log.Info("relays changed", "urls", signal.ShownURLs(good), "unusable", len(urls)-len(good))
	})
}

// relayURLs are those that Config.Relays said last; none before it said any.
func (c *Coordinator) relayURLs() []string {
	if urls := c.relays.Load(); urls != nil {
		return *urls
	}
	return nil
}

// gateURLs are what pages are told, a list for each gate: all that Config.Relays
// knows as one, or those of the gates that have joined while it knows none.
func (c *Coordinator) gateURLs() [][]string {
	if urls := c.relayURLs(); len(urls) > 0 {
		return [][]string{urls}
	}
	return c.registry.gateURLs()
}
