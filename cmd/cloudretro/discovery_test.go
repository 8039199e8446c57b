package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

// In a cluster nobody writes an address down, but may.
func TestWhomRolesJoinInACluster(t *testing.T) {
	tests := []struct {
		name, page   string
		set          []string
		worker, gate string
	}{
		{"found", "", nil, "", ""},
		{"own one", "http://own", nil, "http://own", "http://own"},
		{"others of workers", "", []string{"worker.network.coordinatorAddress=a:1,b:2"}, "a:1,b:2", ""},
		{"others of gates", "", []string{"turn.coordinatorAddress=c:1"}, "", "c:1"},
		{"others than our own", "http://own", []string{"worker.network.coordinatorAddress=a:1", "turn.coordinatorAddress=c:1"}, "a:1", "c:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := defaults(t, tt.set...)
			h := &house{cfg: cfg, page: tt.page, local: tt.page, cluster: &cluster.Cluster{}}
			if got := strings.Join(h.coordinators(cfg.Worker.Network.CoordinatorAddress), ","); got != tt.worker {
				t.Errorf("the worker joins %q, want %q", got, tt.worker)
			}
			if got := strings.Join(h.gateCoordinators(), ","); got != tt.gate {
				t.Errorf("the gate joins %q, want %q", got, tt.gate)
			}
		})
	}
}

// What is found is what the configuration names.
func TestServicesThatAreFollowed(t *testing.T) {
	h := &house{
		cfg: defaults(t, "kubernetes.turnService=relay"), log: slog.New(slog.DiscardHandler),
		cluster: &cluster.Cluster{API: &cluster.API{}, Namespace: "arcade"},
	}
	s := h.slices("worker", mediaPort)
	if s.Namespace != "arcade" || s.Port != "media" || s.API == nil || s.Logger == nil {
		t.Errorf("follows %+v", s)
	}
	addresses := []string{"a:1", "b:1"}
	if got := whom(addresses[:1], []*discovery.Workers{discovery.NewWorkers(s)}); got != "a:1, Service arcade/worker" || !slices.Equal(addresses, []string{"a:1", "b:1"}) {
		t.Errorf("joins %q", got)
	}
	if h.turnService() == nil {
		t.Error("nothing follows the gates")
	}
}

// A worker's pod waits until gates can know it; a worker outside of the cluster,
// which no Service selects, would wait for nothing.
func TestWhatWorkersFollow(t *testing.T) {
	for kubeconfig, pod := range map[string]bool{"": true, "admin.conf": false} {
		h := &house{cfg: defaults(t), log: slog.New(slog.DiscardHandler), cluster: &cluster.Cluster{API: &cluster.API{}, Namespace: "arcade"}}
		h.cfg.Kubernetes.Kubeconfig = kubeconfig
		source := h.pageSource()
		if _, waits := source.(*discovery.Listed); waits != pod {
			t.Errorf("kubeconfig %q: follows by %T", kubeconfig, source)
		}
		if got := fmt.Sprint(source); got != "Service arcade/coordinator" {
			t.Errorf("kubeconfig %q: follows %s", kubeconfig, got)
		}
	}
}
