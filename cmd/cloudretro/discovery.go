package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

// Names of ports in Services, and what the pods of gates are labelled with; see
// deploy/kubernetes.
const (
	pagePort  = "http"
	mediaPort = "media"
	gatePods  = "app.kubernetes.io/component=turn"
)

// coordinators is whom a role of this process joins by address: the coordinator
// in this same process where there is one and none other is configured. In a
// cluster none need be: they are found.
func (h *house) coordinators(configured []string) []string {
	byDefault := len(configured) == 0 || len(configured) == 1 && configured[0] == "localhost:8000"
	switch {
	case byDefault && h.page != "":
		return []string{h.local}
	case byDefault && h.cluster != nil:
		return nil
	}
	return configured
}

// gateCoordinators is whom a gate joins by address. In a cluster a gate knows
// workers without coordinators, and joins only its own and those that are meant.
func (h *house) gateCoordinators() []string {
	if h.cluster != nil {
		return h.coordinators(h.cfg.Turn.CoordinatorAddress)
	}
	return h.coordinators(orElse(h.cfg.Turn.CoordinatorAddress, h.cfg.Worker.Network.CoordinatorAddress))
}

// slices is what the discovery of a Service takes.
func (h *house) slices(service, port string) discovery.SlicesConfig {
	return discovery.SlicesConfig{
		API: h.cluster.API, Namespace: h.cluster.Namespace, Service: service, Port: port,
		Logger: h.log.With("part", "discovery"),
	}
}

// serviceNetwork is what gates keep closed of the cluster.
func (h *house) serviceNetwork() *discovery.ServiceNetwork {
	return discovery.NewServiceNetwork(discovery.ServiceNetworkConfig{
		API: h.cluster.API, Service: h.cluster.Service, Logger: h.log.With("part", "discovery"),
	})
}

// turnService is where pages find the gates of the cluster.
func (h *house) turnService() *discovery.Turn {
	return discovery.NewTurn(discovery.TurnConfig{
		API: h.cluster.API, Namespace: h.cluster.Namespace, Service: h.cfg.Kubernetes.TurnService, Pods: gatePods,
		Logger: h.log.With("part", "discovery"),
	})
}

// whom names addresses and what finds more, for people.
func whom[S any](addresses []string, sources []S) string {
	all := slices.Clone(addresses)
	for _, s := range sources {
		all = append(all, fmt.Sprint(s))
	}
	return strings.Join(all, ", ")
}
