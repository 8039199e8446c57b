package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn"
	"github.com/cloudretro/cloudretro/turn/credential"
	"github.com/cloudretro/cloudretro/web"
)

// addCoordinator binds the page's port.
func (h *house) addCoordinator() error {
	server := h.cfg.Coordinator.Server
	cfg := coordinator.Config{
		Address:       server.Address,
		Web:           web.Files(),
		Secret:        h.cfg.Secrets.Worker,
		TURNSecret:    h.cfg.Secrets.Turn,
		ICEServers:    iceServers(h.cfg.WebRTC.ICEServers),
		CredentialTTL: h.cfg.Turn.CredentialTTL,
		Origins:       h.cfg.Coordinator.Origins,
		Logger:        h.log.With("role", "coordinator"),
	}
	if server.HTTPS {
		cfg.CertFile, cfg.KeyFile = server.TLS.HTTPSCert, server.TLS.HTTPSKey
	}
	c, err := coordinator.New(cfg)
	if err != nil {
		return explain(err, "coordinator.server.address", server.Address, "tcp")
	}
	h.add("coordinator", c.Run, c.Close)
	h.page = pageURL(c.Addr(), server.HTTPS)
	return nil
}

func iceServers(servers []config.ICEServer) []signal.ICEServer {
	out := make([]signal.ICEServer, 0, len(servers))
	for _, s := range servers {
		out = append(out, signal.ICEServer(s))
	}
	return out
}

// addGate binds the TURN listeners. A gate without any has nothing to do.
func (h *house) addGate() error {
	t := h.cfg.Turn
	if len(t.Listeners) == 0 {
		if h.roles.all() {
			return nil
		}
		return fmt.Errorf("turn.listeners is empty: role turn has nothing to do; add one, or leave the role out of --role")
	}
	cfg, err := gateConfig(h.cfg)
	if err != nil {
		return err
	}
	cfg.Coordinators = h.coordinators(orElse(t.CoordinatorAddress, h.cfg.Worker.Network.CoordinatorAddress))
	cfg.Logger = h.log.With("role", "turn")
	g, err := turn.New(cfg)
	if err != nil {
		return explain(err, "turn.listeners", listenerAddresses(t.Listeners), "udp")
	}
	h.add("turn", g.Run, g.Close)
	h.metrics = append(h.metrics, gateMetrics(g))
	h.greeting = append(h.greeting, fmt.Sprintf("turn relays at %s for %s", listenerAddresses(t.Listeners), strings.Join(cfg.Coordinators, ", ")))
	return nil
}

// gateMetrics are a gate in numbers.
func gateMetrics(g *turn.Gate) prometheus.Collector {
	return collect(g.Stats,
		gauge("turn_allocations", "Relays that are open.", func(s turn.Stats) int64 { return int64(max(s.Allocations, 0)) }),
		gauge("turn_peers", "Addresses of workers that may be relayed to.", func(s turn.Stats) int64 { return int64(s.Peers) }),
		counters("turn_refused_total", "Requests refused for what they claim or ask.", "cause", func(s turn.Stats) map[string]uint64 {
			return map[string]uint64{
				"malformed": s.RefusedMalformed, "expired": s.RefusedExpired, "owner": s.RefusedOwner,
				"secret": s.RefusedSecret, "quota": s.RefusedQuota, "permission": s.RefusedPermission,
			}
		}),
		counters("turn_dropped_total", "Datagrams to or from an address that is not allowed.", "cause", func(s turn.Stats) map[string]uint64 {
			return map[string]uint64{"to-peer": s.DroppedToPeer, "from-peer": s.DroppedFromPeer}
		}),
	)
}

// gateConfig is what of cfg a gate takes, without the coordinators.
func gateConfig(cfg config.Config) (turn.Config, error) {
	t := cfg.Turn
	secret := cfg.Secrets.Turn
	if secret == "" {
		secret = credential.Derive(cfg.Secrets.Worker, credential.LabelTURN)
	}
	out := turn.Config{
		PublicAddress:  t.PublicAddress,
		Realm:          t.Realm,
		Secrets:        []string{secret},
		MaxAllocations: t.MaxAllocations,
		MaxPerUser:     t.MaxPerUser,
	}
	if t.RelayAddress != "" {
		ip, err := netip.ParseAddr(t.RelayAddress)
		if err != nil {
			return out, fmt.Errorf("turn.relayAddress: %w", err)
		}
		out.RelayAddress = ip
	}
	for _, l := range t.Listeners {
		out.Listeners = append(out.Listeners, turn.Listener{Protocol: l.Protocol, Address: l.Address})
	}
	for i, text := range t.Peers {
		peer, err := turn.ParsePeer(text)
		if err != nil {
			return out, fmt.Errorf("turn.peers.%d: %w", i, err)
		}
		out.Peers = append(out.Peers, peer)
	}
	return out, nil
}

func listenerAddresses(listeners []config.Listener) string {
	addresses := make([]string, 0, len(listeners))
	for _, l := range listeners {
		addresses = append(addresses, l.Address)
	}
	return strings.Join(addresses, ", ")
}

func orElse(list, other []string) []string {
	if len(list) > 0 {
		return list
	}
	return other
}
