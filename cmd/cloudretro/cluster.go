package main

import (
	"fmt"
	"log/slog"
	"os"

	"k8s.io/klog/v2"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// connect makes the client of the cluster that a configuration asks for, nil if
// it asks for none.
func connect(cfg config.Kubernetes, log *slog.Logger) (*cluster.Cluster, error) {
	if !cfg.Enabled {
		return nil, nil //nolint:nilnil // none is asked for
	}
	// client-go 0.36 waits for an API server that refuses connections, when it opens
	// a watch of this kind, without looking whether it is to end.
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		return nil, fmt.Errorf("kubernetes.enabled: %w", err)
	}
	log = log.With("part", "cluster")
	klog.SetSlogLogger(slog.New(newSeldom(log.Handler()))) // what client-go has to say
	c, err := cluster.Connect(cluster.Config{Kubeconfig: cfg.Kubeconfig, Namespace: cfg.Namespace, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("kubernetes.enabled: %w", err)
	}
	return c, nil
}
