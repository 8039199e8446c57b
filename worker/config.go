package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
)

// Config is what a Worker needs. It is copied by New and may be reused.
type Config struct {
	// Coordinators to join, each as signal.URL takes it ("host:port" or a URL).
	Coordinators []string
	// Secret is shared with the coordinators. Required.
	Secret string
	// Name for people, "" = the host's name. Zone is the region it is in, may be "".
	Name, Zone string

	// MediaAddress restricts media to one IP of this host, "" = all of them.
	MediaAddress string
	// MediaPort is the UDP port of all media, 0 = any free one.
	MediaPort int
	// PublicAddress is an IP or host name whose media port is forwarded to this
	// host; IPMap lists more ("public" or "public/private").
	PublicAddress string
	IPMap         []string
	// ProbeAddress (host:port) answers GET /echo, by which pages measure the
	// way to this worker, and GET /health; "" = none.
	ProbeAddress string

	MaxRooms  int           // rooms at once, 0 = two for each CPU
	RoomGrace time.Duration // how long a room outlives its last viewer, 0 = at once

	LibraryPath string         // folder of games, "" = the built-in ones alone
	Cores       []library.Core // which core plays what
	CoreDirs    []string       // folders of cores, empty = library.DefaultCoreDirs
	SystemDir   string         // folder of BIOS files, may be ""
	SaveDir     string         // folder where cores may write, may be ""
	Rescan      time.Duration  // how often the library is looked at, 0 = library's default

	Video  engine.VideoSpec // Scale may be changed by a Core
	Audio  engine.AudioSpec
	Engine engine.Config // its Logger is replaced

	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

// Sentinels of New: the address that cannot be listened on. The error of
// package net is wrapped too.
var (
	ErrMedia = errors.New("webrtc.singlePort")
	ErrProbe = errors.New("worker.server.address")
)

func (cfg *Config) complete() error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Secret == "" {
		return errors.New("no secret; set secrets.worker to that of the coordinator")
	}
	if len(cfg.Coordinators) == 0 {
		return errors.New("no coordinator to join; set worker.network.coordinatorAddress")
	}
	if cfg.Name == "" {
		cfg.Name, _ = os.Hostname() // only for people
	}
	cfg.Name = signal.Clip(cfg.Name)
	if cfg.MaxRooms <= 0 {
		cfg.MaxRooms = 2 * runtime.NumCPU()
	}
	cfg.MaxRooms = min(cfg.MaxRooms, signal.MaxRooms)
	if cfg.MediaPort < 0 || cfg.MediaPort > 65535 {
		return fmt.Errorf("%w: %d is no port", ErrMedia, cfg.MediaPort)
	}
	return nil
}
