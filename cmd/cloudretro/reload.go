package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/config"
)

// hangup has a running process read its configuration again.
type hangup struct {
	signal <-chan os.Signal
	files  []string // that are watched
	load   func() (config.Config, error)
}

// reloads counts what became of configurations that were read again.
type reloads struct {
	taken, refused atomic.Uint64
	last           atomic.Int64 // when one was taken, or the start; seconds since 1970
}

// reload hands what may change (see config.Live) to the roles, whenever the files
// change or the process is told to. A configuration that is wrong changes nothing.
func (h *house) reload(ctx context.Context, again *hangup) error {
	edited := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	if len(again.files) > 0 {
		watcher := config.Watcher{Files: again.files, Logger: h.log}
		group.Go(func() error {
			return watcher.Run(ctx, func() {
				select {
				case edited <- struct{}{}:
				default: // it is about to be read
				}
			})
		})
	}
	group.Go(func() error {
		for {
			select {
			case <-again.signal:
				h.mistake = "" // who asks is told again
				if h.adopt(again.load) {
					continue
				}
				h.log.Info("configuration read again, nothing has changed")
			case <-edited:
				h.adopt(again.load)
			case <-ctx.Done():
				return nil
			}
		}
	})
	return group.Wait()
}

// adopt reads the configuration and has the roles take it. It says whether there
// was anything to tell.
func (h *house) adopt(load func() (config.Config, error)) bool {
	next, err := load()
	if err != nil {
		if err.Error() != h.mistake {
			h.mistake = err.Error()
			h.reloaded.refused.Add(1)
			h.log.Error("configuration not taken", "cause", err)
		}
		return true
	}
	h.mistake = ""
	h.rotation.Lock()
	defer h.rotation.Unlock()
	before := h.current()
	merged, taken, stale := config.Adopt(h.loaded, next)
	if len(taken) > 0 {
		full := h.withOwnSecrets(merged)
		if err := h.give(full, before); err != nil {
			h.reloaded.refused.Add(1)
			h.log.Error("configuration not taken", "keys", taken, "cause", err)
			return true
		}
		h.loaded = merged
		h.running.Store(&full)
		h.log.Info("configuration taken", "keys", taken)
		h.level.Set(levelOf(full.Log)) // when the news is out
		h.reloaded.last.Store(time.Now().Unix())
		h.reloaded.taken.Add(1)
	}
	told := slices.Equal(stale, h.stale)
	if h.stale = stale; len(stale) > 0 && !told {
		h.log.Warn("changed keys are not taken before a restart", "keys", stale)
	}
	return len(taken) > 0 || len(stale) > 0
}

// give hands a configuration to all roles. If one of them refuses, all go on with
// the one before.
func (h *house) give(next, before config.Config) error {
	var err error
	for _, take := range h.reloads {
		err = errors.Join(err, take(next))
	}
	if err == nil {
		return nil
	}
	for _, take := range h.reloads {
		_ = take(before) // was taken once
	}
	return err
}

// current is the configuration in force.
func (h *house) current() config.Config {
	if running := h.running.Load(); running != nil {
		return *running
	}
	return h.cfg
}

// withOwnSecrets is what was read with the secrets that the process has got itself
// at its start, made at random or from the cluster, where none is set. The caller
// holds the rotation.
func (h *house) withOwnSecrets(cfg config.Config) config.Config {
	own := h.cfg.Secrets
	if h.rotation.turn != nil {
		own.Turn = h.rotation.turn
	}
	cfg.Secrets.Worker, cfg.Secrets.Session = own.Worker, own.Session // no live keys
	if len(cfg.Secrets.Turn) == 0 && len(h.set.Secrets.Turn) == 0 {
		cfg.Secrets.Turn = own.Turn
	}
	return cfg
}

// reloadMetrics tell whether a configuration that was edited is in force.
func reloadMetrics(r *reloads) prometheus.Collector {
	return collect(func() *reloads { return r },
		counters("config_reloads_total", "Changed configurations that were read while the process ran.", "result", func(r *reloads) map[string]uint64 {
			return map[string]uint64{"taken": r.taken.Load(), "refused": r.refused.Load()}
		}),
		gauge("config_taken_timestamp_seconds", "When the configuration in force was taken, at the start or later.", func(r *reloads) int64 {
			return r.last.Load()
		}),
	)
}
