package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
)

// coreProcess is the hidden command by which a worker runs its own binary once
// for each room. It touches neither configuration nor signals.
func coreProcess(args []string) (code int, ok bool) {
	if len(args) != 1 || args[0] != engine.CoreCommand {
		return 0, false
	}
	return engine.CoreMain(), true
}

// engineAvailable says whether this build can run games.
func engineAvailable() error { return engine.Available() }

// addWorker binds the media port and the probe.
func (h *house) addWorker() error {
	if err := engineAvailable(); err != nil {
		return fmt.Errorf("role worker: %w; or run the other roles alone: --role=coordinator,turn", err)
	}
	if err := h.cfg.CheckFolders(); err != nil {
		return err
	}
	cfg := workerConfig(h.cfg)
	cfg.Coordinators = h.coordinators(cfg.Coordinators)
	if h.cluster != nil && !h.roles.coordinator {
		cfg.TokenFile = h.cfg.Kubernetes.Token.File
	}
	if h.cluster != nil {
		cfg.Sources = append(cfg.Sources, h.pageSource())
	}
	cfg.Logger = h.log.With("role", "worker")
	w, err := worker.New(cfg)
	switch {
	case errors.Is(err, worker.ErrMedia):
		return explain(err, "webrtc.singlePort", strconv.Itoa(cfg.MediaPort), "udp")
	case errors.Is(err, worker.ErrProbe):
		return explain(err, "worker.server.address", cfg.ProbeAddress, "tcp")
	case err != nil:
		return err
	}
	h.add("worker", w.Run, w.Close)
	h.greeting = append(h.greeting, fmt.Sprintf("worker plays over UDP :%d for %s", w.MediaPort(), whom(cfg.Coordinators, cfg.Sources)))
	h.checks = append(h.checks, check{"worker", w.Ready})
	h.live("worker", w.Alive, func() []any {
		s := w.Status()
		return []any{"rooms", s.Rooms, "sessions", s.Sessions}
	})
	h.reloads = append(h.reloads, func(next config.Config) error {
		if err := next.CheckSystem(); err != nil {
			return err
		}
		return w.Reconfigure(workerConfig(next))
	})
	h.metrics = append(h.metrics, workerMetrics(w), mediaMetrics(w), socketMetrics(w))
	return nil
}

// listedPatience is how long a worker waits until the cluster lists its pod.
const listedPatience = 15 * time.Second

// pageSource is where a worker finds coordinators in the cluster: as a pod, when
// gates can know it.
func (h *house) pageSource() discovery.Source {
	source := discovery.NewCoordinators(h.slices(h.cfg.Kubernetes.CoordinatorService, pagePort))
	if h.cfg.Kubernetes.Kubeconfig != "" {
		return source // no pod, so no Service lists it
	}
	return discovery.NewListed(source, h.slices(h.cfg.Kubernetes.WorkerService, mediaPort), listedPatience)
}

// workerConfig is what of cfg a worker takes.
func workerConfig(cfg config.Config) worker.Config {
	network, cores := cfg.Worker.Network, cfg.Emulator.Libretro.Cores
	video, audio := cfg.Encoder.Video, cfg.Encoder.Audio
	profile := media.ProfileMain
	if video.H264.Profile == "baseline" {
		profile = media.ProfileBaseline
	}
	out := worker.Config{
		Coordinators: network.CoordinatorAddress,
		Secret:       cfg.Secrets.Worker,
		Name:         cfg.Worker.Name, Zone: network.Zone,
		MediaPort: cfg.WebRTC.SinglePort, PublicAddress: network.PublicAddress, IPMap: cfg.WebRTC.ICEIPMap,
		ProbeAddress: cfg.Worker.Server.Address, ProbeURL: network.ProbeAddress,
		MaxRooms: cfg.Worker.Rooms.Max, RoomGrace: cfg.Worker.Rooms.Grace, DrainGrace: cfg.Worker.Rooms.DrainGrace, LateLimit: cfg.Worker.Rooms.LateLimit,
		LibraryPath: cfg.Library.BasePath, CoreDirs: cores.Paths.Libs, SystemDir: cores.Paths.System,
		SaveDir: existing(cfg.Emulator.Storage),
		Video: engine.VideoSpec{
			Codec: video.Codec, Library: video.H264.Library, Scale: video.Scale,
			CRF: video.H264.CRF, MaxBitrate: video.H264.MaxBitrate, Profile: profile,
		},
		Audio: engine.AudioSpec{Frame: audio.Frame, Bitrate: audio.Bitrate, Complexity: audio.Complexity},
	}
	for _, system := range slices.Sorted(maps.Keys(cores.List)) {
		core := cores.List[system]
		out.Cores = append(out.Cores, library.Core{
			System: system, Lib: core.Lib, Extensions: core.Roms, Folder: core.Folder,
			Players: core.Players, Scale: core.Scale, Options: core.Options,
		})
	}
	return out
}

// existing is the folder, or "" when it does not exist: only a folder that is
// so by default may be missing (see config.CheckFolders).
func existing(folder string) string {
	if _, err := os.Stat(folder); err != nil {
		return ""
	}
	return folder
}
