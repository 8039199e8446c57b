package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/turn"
	"github.com/cloudretro/cloudretro/turn/credential"
)

// addGate makes the gate of turn.listeners and those of the Gateway API. A role
// without any has nothing to do.
func (h *house) addGate() error {
	t, gateways := h.cfg.Turn, h.cfg.Kubernetes.Gateway.Enabled
	if len(t.Listeners) == 0 && !gateways {
		if h.roles.all() {
			return nil
		}
		return errors.New("turn.listeners is empty: role turn has nothing to do; add one, or leave the role out of --role")
	}
	cfg, err := h.gateConfig(h.cfg)
	if err != nil {
		return err
	}
	cfg.Logger = h.log.With("role", "turn")
	var gates []func() turn.Stats
	var pulses []func()
	var runs []func(context.Context) error
	if gateways {
		fleet, controller, err := h.addGateways(cfg)
		if err != nil {
			return err
		}
		gates, pulses, runs = append(gates, fleet.Stats), append(pulses, fleet.Alive), append(runs, fleet.Run, controller.Run)
	}
	if len(t.Listeners) > 0 {
		g, err := h.addListeners(cfg)
		if err != nil {
			return err
		}
		gates, pulses, runs = append(gates, g.Stats), append(pulses, g.Alive), append(runs, g.Run)
	}
	h.add("turn", together(runs), func() error { return nil })
	h.live("turn", func() {
		for _, alive := range pulses {
			alive()
		}
	}, func() []any {
		open := 0
		for _, stats := range gates {
			open += stats().Allocations
		}
		return []any{"allocations", open}
	})
	h.metrics = append(h.metrics, gateMetrics(gates...))
	return nil
}

// together runs what is to end at the same time: gates of one process drain
// beside one another. One that fails ends the others.
func together(runs []func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range runs {
			group.Go(func() error { return run(ctx) })
		}
		return group.Wait()
	}
}

// addListeners binds turn.listeners.
func (h *house) addListeners(cfg turn.Config) (*turn.Gate, error) {
	t := h.cfg.Turn
	cfg.Coordinators = h.gateCoordinators()
	if h.cluster != nil {
		cfg.Sources = append(cfg.Sources, discovery.NewWorkers(h.slices(h.cfg.Kubernetes.WorkerService, mediaPort)))
		cfg.Network = h.serviceNetwork()
	}
	g, err := turn.New(cfg)
	if err != nil {
		return nil, explain(err, "turn.listeners", listenerAddresses(t.Listeners), "udp")
	}
	h.closers = append(h.closers, g.Close)
	h.checks = append(h.checks, check{"turn", g.Ready})
	h.metrics = append(h.metrics, certificateMetrics("turn", g.Certificates))
	h.reloads = append(h.reloads, func(next config.Config) error {
		cfg, err := h.gateConfig(next)
		if err != nil {
			return err
		}
		return g.Reconfigure(cfg)
	})
	h.greeting = append(h.greeting, fmt.Sprintf("turn relays at %s for %s", listenerAddresses(t.Listeners), whom(cfg.Coordinators, cfg.Sources)))
	return g, nil
}

// gateConfig is what of cfg the gate of this process takes, without the coordinators.
func (h *house) gateConfig(cfg config.Config) (turn.Config, error) {
	if h.roles.worker {
		cfg.Turn.DrainGrace = 0 // the games that it would wait for end with this process
	}
	return gateConfig(cfg)
}

// gateConfig is what of cfg a gate takes, without the coordinators.
func gateConfig(cfg config.Config) (turn.Config, error) {
	t, credentials := cfg.Turn, gateCredentials(cfg)
	out := turn.Config{
		PublicAddress:  t.PublicAddress,
		Realm:          t.Realm,
		Secrets:        credentials.Secrets,
		Users:          credentials.Users,
		MaxAllocations: t.MaxAllocations,
		MaxPerUser:     t.MaxPerUser,
		MaxPerAddress:  t.MaxPerAddress,
		MaxBandwidth:   int64(t.MaxBandwidth),
		Sockets:        t.Sockets,
		DrainGrace:     t.DrainGrace,
	}
	for i, text := range t.RelayAddress {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return out, fmt.Errorf("turn.relayAddress.%d: %w", i, err)
		}
		out.RelayAddresses = append(out.RelayAddresses, ip)
	}
	for _, l := range t.Listeners {
		one := turn.Listener{Protocol: l.Protocol, Address: l.Address}
		if l.Protocol == turn.TLS || l.Protocol == turn.DTLS {
			one.CertFile, one.KeyFile = t.TLS.Cert, t.TLS.Key
		}
		out.Listeners = append(out.Listeners, one)
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

// gateCredentials are what clients of the gate prove themselves with.
func gateCredentials(cfg config.Config) turn.Credentials {
	c := turn.Credentials{Secrets: turnSecrets(cfg)}
	for _, u := range cfg.Turn.Users {
		c.Users = append(c.Users, turn.User{Name: u.Username, Password: u.Password})
	}
	return c
}

// turnSecrets are those of TURN credentials, the one to mint with first.
func turnSecrets(cfg config.Config) []string {
	if len(cfg.Secrets.Turn) > 0 {
		return cfg.Secrets.Turn
	}
	return []string{credential.Derive(cfg.Secrets.Worker, credential.LabelTURN)}
}

func listenerAddresses(listeners []config.Listener) string {
	addresses := make([]string, 0, len(listeners))
	for _, l := range listeners {
		addresses = append(addresses, l.Address)
	}
	return strings.Join(addresses, ", ")
}
