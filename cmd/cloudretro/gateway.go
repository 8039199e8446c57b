package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/turn"
	"github.com/cloudretro/cloudretro/turn/gateway"
)

// addGateways serves the Gateway API with gates beside that of turn.listeners,
// which have the same limits.
func (h *house) addGateways(cfg turn.Config) (*turn.Fleet, *gateway.Controller, error) {
	if h.cluster == nil {
		return nil, nil, errors.New("kubernetes.gateway.enabled needs kubernetes.enabled")
	}
	fleet := turn.NewFleet(cfg)
	controller, err := gateway.New(gateway.Config{
		Cluster: h.cluster, Settings: gatewaySettings(h.cfg, h.cluster.Namespace), Fleet: fleet, Lead: h.cluster.Lead,
		Logger: h.log.With("role", "turn", "part", "gateway"),
	})
	if err != nil {
		return nil, nil, err
	}
	h.closers = append(h.closers, fleet.Close)
	h.checks = append(h.checks, check{"gateways", fleet.Ready})
	h.reloads = append(h.reloads, func(next config.Config) error {
		cfg, err := h.gateConfig(next)
		if err != nil {
			return err
		}
		controller.SetSecrets(turnSecrets(next))
		return fleet.Reconfigure(cfg)
	})
	h.greeting = append(h.greeting, fmt.Sprintf("turn serves Gateways of %s", h.cfg.Kubernetes.Gateway.ControllerName))
	return fleet, controller, nil
}

// gatewaySettings are those of the installation in a namespace.
func gatewaySettings(cfg config.Config, namespace string) gateway.Settings {
	g := cfg.Kubernetes.Gateway
	return gateway.Settings{
		ControllerName: g.ControllerName, Namespace: namespace,
		// As deploy/kubernetes labels the pods of gates.
		PodSelector: map[string]string{"app.kubernetes.io/name": "cloudretro", "app.kubernetes.io/component": "turn"},
		FirstPort:   g.FirstPort, Ports: g.Ports,
		Realm: cmp.Or(cfg.Turn.Realm, "cloudretro"), Secrets: turnSecrets(cfg),
	}
}
