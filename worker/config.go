package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
)

// Config is what a Worker needs. It is copied by New and may be reused.
type Config struct {
	// Coordinators to join, each as signal.URL takes it ("host:port" or a URL); a
	// host name may stand for several. There may be none if Sources find them.
	Coordinators []string
	// Sources find coordinators besides these.
	Sources []discovery.Source
	// Secret is shared with the coordinators, and TokenFile holds a token of a
	// service account that they take in its place: a JWT, read for each
	// connection. One of the two is required.
	Secret, TokenFile string
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
	// ProbeURL is where pages find /echo of this zone, like
	// "https://eu.example.org/echo"; "" = at PublicAddress, if there is one.
	ProbeURL string

	MaxRooms  int           // places: games at once, 0 = two for each CPU
	RoomGrace time.Duration // how long a room outlives its last viewer, 0 = at once
	// DrainGrace is how long games go on after Run was told to end, if nobody
	// ends them before. No game starts meanwhile.
	DrainGrace time.Duration
	// LateLimit is how many of the frames of a second may begin late, per mille:
	// a worker that has more for some seconds starts no games. 0 = 100, 1000 = any.
	LateLimit int

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
	if cfg.Secret == "" && cfg.TokenFile == "" {
		return errors.New("no secret; set secrets.worker to that of the coordinator, or in Kubernetes kubernetes.token.file")
	}
	if len(cfg.Coordinators)+len(cfg.Sources) == 0 {
		return errors.New("no coordinator to join; set worker.network.coordinatorAddress")
	}
	if cfg.Name == "" {
		cfg.Name, _ = os.Hostname() // only for people
	}
	cfg.Name = signal.Clip(cfg.Name)
	if cfg.MediaPort < 0 || cfg.MediaPort > 65535 {
		return fmt.Errorf("%w: %d is no port", ErrMedia, cfg.MediaPort)
	}
	return nil
}
