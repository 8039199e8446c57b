package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator"
	"github.com/cloudretro/cloudretro/coordinator/scaler"
)

// addScaler has this coordinator stand for election as the one that tells the
// cluster which workers have games and, if that is asked for, scales them.
func (h *house) addScaler(c *coordinator.Coordinator) {
	if h.cluster == nil {
		return
	}
	s := scaler.New(scaler.Config{
		Cluster: h.cluster, Settings: scalerSettings(h.cfg), Logger: h.log.With("part", "scaler"),
		Workers: func() []scaler.Pod { return scalerPods(c.WorkerPods()) },
	})
	h.add("scaler", s.Run, func() error { return nil })
	h.metrics = append(h.metrics, scalerMetrics(s.Stats))
	h.reloads = append(h.reloads, func(next config.Config) error {
		s.SetSettings(scalerSettings(next))
		return nil
	})
}

func scalerSettings(cfg config.Config) scaler.Settings { return scaler.Settings(cfg.Kubernetes.Scaler) }

// scalerPods are what a coordinator knows of workers as the scaler takes it.
func scalerPods(pods []coordinator.WorkerPod) []scaler.Pod {
	out := make([]scaler.Pod, 0, len(pods))
	for _, p := range pods {
		out = append(out, scaler.Pod{
			Name: p.Pod, State: p.State, Sessions: p.Sessions, Rooms: p.Rooms, Places: p.Places, Free: p.Free,
		})
	}
	return out
}

// scalerMetrics are the scaler of a coordinator in numbers.
func scalerMetrics(take func() scaler.Stats) prometheus.Collector {
	type stats = scaler.Stats
	return collect(take,
		gauge("coordinator_scaler_leader", "1 at the coordinator that marks and scales the pods of workers.", func(s stats) int { return s.Leader }),
		gauge("coordinator_scaler_replicas", "Replicas that the Deployment of the workers is asked for; 0 where nothing is scaled.",
			func(s stats) int { return s.Replicas }),
		gauge("coordinator_scaler_replicas_wanted", "Replicas that keep kubernetes.scaler.freeSeats free; 0 where nothing is scaled.",
			func(s stats) int { return s.Wanted }),
		gauge("coordinator_scaler_places_free", "Places of the Deployment's workers that are free; 0 where nothing is scaled.",
			func(s stats) int { return s.Free }),
		counter("coordinator_scaler_annotations_total", "Pods of workers that were marked.", func(s stats) uint64 { return s.Annotated }),
		counter("coordinator_scaler_scalings_total", "Changes of the replicas.", func(s stats) uint64 { return s.Scaled }),
		counter("coordinator_scaler_failures_total", "Requests that the API server refused or did not answer.", func(s stats) uint64 { return s.Failed }),
	)
}
