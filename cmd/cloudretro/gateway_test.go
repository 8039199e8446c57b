package main

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/turn"
)

// gatewayConfig is a gate's configuration with Gateways.
func gatewayConfig() config.Config {
	var cfg config.Config
	cfg.Secrets.Turn = []string{"new", "old"}
	cfg.Kubernetes.Enabled = true
	cfg.Kubernetes.Gateway = config.Gateway{Enabled: true, ControllerName: "cloudretro.dev/turn", FirstPort: 20000, Ports: 10}
	return cfg
}

// Gateways are served beside turn.listeners, and without any.
func TestGatesOfGateways(t *testing.T) {
	for listeners, want := range map[string]string{
		"":            "gateways",
		"127.0.0.1:0": "gateways turn",
	} {
		cfg := gatewayConfig()
		if listeners != "" {
			cfg.Turn.Listeners = []config.Listener{{Protocol: turn.UDP, Address: listeners}}
		}
		h := &house{cfg: cfg, roles: roles{turn: true}, log: slog.New(slog.DiscardHandler), cluster: &cluster.Cluster{
			REST: &rest.Config{Host: "https://127.0.0.1:1"}, HTTP: http.DefaultClient, API: &cluster.API{}, Namespace: "arcade",
		}}
		if err := h.addGate(); err != nil {
			t.Fatal(err)
		}
		var ready []string
		for _, c := range h.checks {
			ready = append(ready, c.name)
		}
		if len(h.parts) != 1 || strings.Join(ready, " ") != want || !strings.Contains(strings.Join(h.greeting, " "), "cloudretro.dev/turn") {
			t.Errorf("%d parts, checks %v, greeting %v", len(h.parts), ready, h.greeting)
		}
		if _, err := newRegistry(h.metrics); err != nil {
			t.Error(err)
		}
		if len(h.pulses) != 1 {
			t.Fatalf("%d pulses", len(h.pulses))
		}
		h.pulses[0].alive()
		if left := h.parts[0].left; left == nil || !slices.Equal(left(), []any{"allocations", 0}) {
			t.Error("what the gates wait for at the end is not told")
		}
		for _, take := range h.reloads {
			if err := take(cfg); err != nil {
				t.Error(err)
			}
		}
		if err := h.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestGatewaysNeedACluster(t *testing.T) {
	h := &house{cfg: gatewayConfig(), roles: roles{turn: true}, log: slog.New(slog.DiscardHandler)}
	if err := h.addGate(); err == nil || !strings.Contains(err.Error(), "kubernetes.enabled") {
		t.Error(err)
	}
}

func TestGatewaySettings(t *testing.T) {
	s := gatewaySettings(gatewayConfig(), "arcade")
	if s.Namespace != "arcade" || s.Realm != "cloudretro" || s.FirstPort != 20000 || s.Ports != 10 || !slices.Equal(s.Secrets, []string{"new", "old"}) {
		t.Errorf("%+v", s)
	}
}

// The numbers of a gate and of a fleet are one family, told apart by the listener.
func TestGateMetricsAddUp(t *testing.T) {
	registry := prometheus.NewRegistry()
	one := func() turn.Stats {
		return turn.Stats{Peers: 2, Listeners: []turn.ListenerStats{{Protocol: turn.UDP, Name: ":3478", Opened: 3}}}
	}
	two := func() turn.Stats {
		return turn.Stats{Peers: 5, Draining: true, Listeners: []turn.ListenerStats{{Protocol: turn.UDP, Name: "ns/gate/one", Opened: 4}}}
	}
	registry.MustRegister(gateMetrics(one, two))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "turn_peers":
			if n := f.GetMetric()[0].GetGauge().GetValue(); n != 7 {
				t.Errorf("%v peers", n)
			}
		case "turn_opened_total":
			if len(f.GetMetric()) != 2 {
				t.Errorf("%v", f.GetMetric())
			}
		}
	}
}
