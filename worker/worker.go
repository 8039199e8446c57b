// Package worker is the role that owns rooms: it announces its games to every
// coordinator, opens a core process for each game that is started, and sends
// picture and sound straight to the browsers. It is the only authority over its
// own places: coordinators ask, it grants or refuses. When all coordinators are
// gone, games go on.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/engine/trim"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/batch"
)

// resolveTimeout bounds the look-up of Config.PublicAddress.
const resolveTimeout = 3 * time.Second

// Worker is the role. New makes it, Run runs it.
type Worker struct {
	cfg     Config
	log     *slog.Logger
	self    self
	media   *peer.Listener
	probe   net.Listener // nil = none
	library *library.Library
	keeper  *uplink.Keeper
	open    openEngine

	current       atomic.Pointer[settings]
	life          life
	rooms         rooms
	sessions      sessions
	catalogue     atomic.Pointer[catalogue]
	announcements atomic.Uint64 // of the library, to tell them apart
	invites       atomic.Pointer[string]
	late          atomic.Int32 // frames, per mille
	sending       send.Stats   // of all rooms
	gaps          gaps
	opened        chan struct{} // a room has, since the last trim; capacity 1
}

// New checks cfg and binds the media port and the probe, so that a port in use
// is an error here, which wraps ErrMedia or ErrProbe and that of package net. It
// fails if this build cannot run core processes. Call Run, or Close if Run will
// not be called.
func New(cfg Config) (*Worker, error) {
	if err := engine.Available(); err != nil {
		return nil, fmt.Errorf("worker: this build cannot play games: %w", err)
	}
	return newWorker(cfg, startEngine)
}

func newWorker(cfg Config, open openEngine) (*Worker, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	w := &Worker{cfg: cfg, log: cfg.Logger, self: self{id: signal.NewID()}, open: open, opened: make(chan struct{}, 1)}
	w.sessions.byID = map[string]*session{}
	w.library = library.New(library.Config{
		Logger: cfg.Logger, BasePath: cfg.LibraryPath, Cores: cfg.Cores, CoreDirs: cfg.CoreDirs,
		Builtins: builtins(), Rescan: cfg.Rescan,
	})
	w.catalogue.Store(newCatalogue(w.library.Games()))
	w.current.Store(cfg.settings())
	w.rooms.init(cfg.places(), w.plays, w.announceLoad, w.announceRooms)
	coordinators, err := discovery.New(cfg.Coordinators, cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	w.keeper = uplink.New(uplink.Role{
		Path: "/ws/worker", Introduce: w.introduce, Joined: w.joined, Message: w.handle, Left: w.left, Logger: cfg.Logger,
	}, append([]discovery.Source{coordinators}, cfg.Sources...)...)
	if err := w.bind(); err != nil {
		return nil, errors.Join(fmt.Errorf("worker: %w", err), w.Close())
	}
	return w, nil
}

// bind opens the sockets.
func (w *Worker) bind() error {
	var err error
	if w.cfg.ProbeAddress != "" {
		if w.probe, err = net.Listen("tcp", w.cfg.ProbeAddress); err != nil {
			return fmt.Errorf("listen on %w %q: %w", ErrProbe, w.cfg.ProbeAddress, err)
		}
	}
	w.media, err = peer.Listen(peer.Config{
		Logger: w.log, Address: w.cfg.MediaAddress, Port: w.cfg.MediaPort,
		IPMap: append(w.publicIPs(), w.cfg.IPMap...),
	})
	if err != nil {
		return fmt.Errorf("listen on %w %d: %w", ErrMedia, w.cfg.MediaPort, err)
	}
	return nil
}

// publicIPs are the addresses that Config.PublicAddress stands for. A name
// that cannot be looked up costs its candidates, not the worker.
func (w *Worker) publicIPs() []string {
	name := w.cfg.PublicAddress
	if name == "" {
		return nil
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return []string{name}
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		w.log.Warn("worker.network.publicAddress cannot be looked up and is not announced", "name", name, "error", err)
	}
	out := make([]string, 0, len(ips))
	for _, ip := range ips {
		out = append(out, ip.Unmap().String())
	}
	return out
}

// plays says whether there is a game with an id here.
func (w *Worker) plays(game string) bool {
	_, ok := w.library.Find(game)
	return ok
}

// errTold ends the group of Run's goroutines.
var errTold = errors.New("the worker has been told to end")

// Run joins the coordinators and plays until ctx ends. Then no game starts any
// more; after Config.DrainGrace at the latest all rooms end, the browsers are
// told, and Run returns nil after the last goroutine has ended. It is called once.
func (w *Worker) Run(ctx context.Context) error {
	w.library.Scan()
	w.catalogue.Store(newCatalogue(w.library.Games()))
	linkCtx, unlink := context.WithCancel(context.WithoutCancel(ctx))
	defer unlink()
	group, inner := errgroup.WithContext(linkCtx)
	group.Go(func() error { return w.library.Run(inner, w.libraryChanged) })
	group.Go(func() error { return w.serveProbe(inner) })
	group.Go(func() error { w.trim(inner); return nil })
	group.Go(func() error { w.watch(inner); return nil })
	group.Go(func() error { w.untilDrained(ctx, inner); return errTold })
	var links sync.WaitGroup
	links.Go(func() { w.rooms.run(linkCtx) })
	links.Go(func() { _ = w.keeper.Run(linkCtx) }) // has no errors
	w.log.Info("worker", "id", w.self.name(w.token(), w.cfg.Secret != ""), "media", w.media.Port(), "games", len(w.library.Games()), "rooms", w.rooms.counts().Places)
	err := group.Wait()
	if errors.Is(err, errTold) {
		err = nil
	}
	w.sessions.close()
	w.rooms.close()
	w.sessions.wait()
	w.life.over.Store(true)
	unlink()
	links.Wait()
	return errors.Join(err, w.Close())
}

// settleTime is how long a start takes at the most: a game that is played at
// once has passed through everything that it needs.
const settleTime = 8 * time.Second

// trim gives back what only the start needed: of the worker, and then of rooms,
// each of which comes with code and garbage that its play does not need.
func (w *Worker) trim(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleTime):
		}
		debug.FreeOSMemory() // first: it reads tables that the trim then drops
		if _, err := trim.FilePages(); err != nil {
			w.log.Debug("start-up code stays resident", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.opened:
		}
	}
}

// Close frees the sockets of a worker that does not run.
func (w *Worker) Close() error {
	var errs []error
	if w.media != nil {
		errs = append(errs, w.media.Close())
	}
	if w.probe != nil {
		if err := w.probe.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close probe: %w", err))
		}
	}
	return errors.Join(errs...)
}

// MediaPort is the UDP port of all media.
func (w *Worker) MediaPort() int { return w.media.Port() }

// ProbeAddr is where the probe listens, nil if it is off.
func (w *Worker) ProbeAddr() net.Addr {
	if w.probe == nil {
		return nil
	}
	return w.probe.Addr()
}

// Status is a worker in numbers.
type Status struct {
	State                  string // signal.StateReady, StateDraining or StateOverloaded
	Rooms, Sessions, Games int
	Places                 int      // games at once
	Free                   int      // places that are neither taken nor held
	Held                   int      // places that wait for their start
	Standing               int      // requests that wait for a place
	Late                   int      // frames that began late, per mille of the last while
	Coordinators           int      // joined just now
	SandboxGaps            []string // parts of the sandbox around core processes that this host lacks, as far as games have run
}

// Status counts, for the operators' door.
func (w *Worker) Status() Status {
	c := w.rooms.counts()
	return Status{
		State: c.State, Rooms: w.rooms.len(), Sessions: w.sessions.len(), Games: len(w.library.Games()),
		Places: c.Places, Free: c.Free(), Held: c.Held, Standing: c.Standing, Late: int(w.late.Load()),
		Coordinators: len(w.keeper.Links()), SandboxGaps: w.gaps.list(),
	}
}

// Media counts what was sent to all browsers so far.
func (w *Worker) Media() send.Totals { return w.sending.Snapshot() }

// Sockets counts what the sockets of the media port have done, one for each
// address of this host.
func (w *Worker) Sockets() []batch.Stats { return w.media.Sockets() }
