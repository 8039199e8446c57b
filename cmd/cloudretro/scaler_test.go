package main

import (
	"slices"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator"
	"github.com/cloudretro/cloudretro/coordinator/scaler"
)

func TestScalerSettings(t *testing.T) {
	got := scalerSettings(defaults(t, "kubernetes.scaler.freeSeats=3", "kubernetes.scaler.deployment=w", "kubernetes.scaler.minReplicas=1",
		"kubernetes.scaler.maxReplicas=4", "kubernetes.scaler.scaleInDelay=2m"))
	want := scaler.Settings{FreeSeats: 3, Deployment: "w", MinReplicas: 1, MaxReplicas: 4, ScaleInDelay: 2 * time.Minute}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestScalerPods(t *testing.T) {
	got := scalerPods([]coordinator.WorkerPod{{Pod: "w-1", State: "ready", Sessions: 1, Rooms: 2, Places: 4, Free: 3}})
	want := []scaler.Pod{{Name: "w-1", State: "ready", Sessions: 1, Rooms: 2, Places: 4, Free: 3}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Outside a cluster nothing stands for election.
func TestNoScalerWithoutACluster(t *testing.T) {
	h := &house{}
	h.addScaler(nil)
	if len(h.parts) > 0 || len(h.metrics) > 0 {
		t.Errorf("%+v", h)
	}
}
