// Package relay is the fast path of the TURN gate: it carries ChannelData
// (RFC 8656 12) between clients and peers without letting it pass through
// pion/turn, which handles the control messages only. It knows nothing of
// configuration, registries or metrics.
//
// How the role uses it:
//
//	r, err := relay.New(relay.Config{Admission: peers, Logger: log})
//	udp, err := r.ListenUDP(netip.MustParseAddrPort("0.0.0.0:3478"))
//	tcp, err := r.ListenStreams(netListener, relay.Stream)     // TCP or TLS
//	dtls, err := r.ListenStreams(dtlsListener, relay.Datagram) // DTLS
//	group.Go(func() error { return r.Run(ctx) })
//	turn.NewServer(turn.ServerConfig{PacketConnConfigs: []turn.PacketConnConfig{
//		{PacketConn: udp, RelayAddressGenerator: generator{udp}}, // one per Listener, never a ListenerConfig
//	}})
//
// where generator.AllocatePacketConn calls Listener.Open for the client of
// Listener.Request. Both Listener and Allocation are net.PacketConns which the
// role may embed in types of its own to look at, refuse or rewrite control
// messages (ReadFrom, WriteTo) and to hear of an allocation's end (Close).
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config is what a Relay needs. It is copied by New.
type Config struct {
	// Admission says who may be relayed to; required.
	Admission Admission
	// Loops is the number of reader threads, and of SO_REUSEPORT sockets per
	// UDP listener; 0 means one per processor, at most 8.
	Loops int
	// Bandwidth bounds what all allocations relay together, in bytes of
	// payload per second, both directions; 0 means no bound.
	Bandwidth int64
	// MaxStreams bounds the connections of each stream listener; 0 means 4096.
	// Beyond it, a new one takes the place of one without an allocation.
	MaxStreams int
	// Now is the clock for expiry and rates; nil means time.Now.
	Now func() time.Time
	// Logger hears once of each capability that is missing; nil means silence.
	Logger *slog.Logger
}

const (
	maxLoops          = 8
	defaultMaxStreams = 4096
)

func (cfg *Config) complete() error {
	if cfg.Admission == nil {
		return errors.New("relay: no admission given")
	}
	if cfg.Loops < 0 || cfg.Bandwidth < 0 || cfg.MaxStreams < 0 {
		return errors.New("relay: loops, bandwidth and streams cannot be negative")
	}
	if cfg.Loops == 0 {
		cfg.Loops = min(runtime.GOMAXPROCS(0), maxLoops)
	}
	if cfg.MaxStreams == 0 {
		cfg.MaxStreams = defaultMaxStreams
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Relay owns the reader threads, the listeners and the allocations. Its
// methods may be called concurrently.
type Relay struct {
	cfg     Config
	epoch   time.Time
	total   bucket // of Config.Bandwidth
	loops   []*loop
	turn    atomic.Uint32 // which loop gets the next allocation
	letters sync.Pool     // *letter
	chunks  sync.Pool     // *chunk
	boxes   sync.Pool     // *outbox, for streams

	mu          sync.Mutex
	running     bool
	closed      bool
	waiting     []func() // goroutines that Run starts
	listeners   map[*Listener]struct{}
	allocations map[*Allocation]struct{}

	tasks sync.WaitGroup // goroutines besides the loops
	done  chan struct{}  // closed by shutdown
	ended chan struct{}  // closed when Run is over
}

// New checks cfg and opens what the reader threads need. It starts nothing;
// call Run, or Close if Run will not be called.
func New(cfg Config) (*Relay, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	r := &Relay{
		cfg: cfg, epoch: cfg.Now(),
		listeners: map[*Listener]struct{}{}, allocations: map[*Allocation]struct{}{},
		done: make(chan struct{}), ended: make(chan struct{}),
	}
	r.total.limit(cfg.Bandwidth)
	r.letters.New = func() any { return new(letter) }
	r.chunks.New = func() any { return new(chunk) }
	r.boxes.New = func() any { return newOutbox(cfg.Loops) }
	for slot := range cfg.Loops {
		l, err := newLoop(slot, r.now)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.loops = append(r.loops, l)
	}
	return r, nil
}

// now is the time since New in nanoseconds, for expiry and rates.
func (r *Relay) now() int64 { return int64(r.cfg.Now().Sub(r.epoch)) + 1 }

// slots is the number of counters that a Listener needs: one for each loop and
// one for everybody else.
func (r *Relay) slots() int { return r.cfg.Loops + 1 }

// Run relays until ctx ends (nil) or a reader thread fails. It closes the
// Relay, and returns after the last goroutine ended. It may be called once.
func (r *Relay) Run(ctx context.Context) error {
	r.mu.Lock()
	if r.running || r.closed {
		r.mu.Unlock()
		return errors.New("relay: Run was called before, or Close")
	}
	r.running = true
	for _, f := range r.waiting {
		r.tasks.Go(f)
	}
	r.waiting = nil
	r.mu.Unlock()

	group, ctx := errgroup.WithContext(ctx)
	for _, l := range r.loops {
		group.Go(l.run)
	}
	group.Go(func() error {
		select {
		case <-ctx.Done():
		case <-r.done:
		}
		r.shutdown()
		return nil
	})
	err := group.Wait()
	r.tasks.Wait()
	err = errors.Join(err, r.free())
	close(r.ended)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

// Close closes all listeners and allocations and ends Run. It may be called
// more than once and returns after the last goroutine ended.
func (r *Relay) Close() error {
	first := r.shutdown()
	r.mu.Lock()
	running := r.running
	r.mu.Unlock()
	if running {
		<-r.ended
	} else if first {
		return r.free()
	}
	return nil
}

// shutdown makes every goroutine end and says whether it is the first to do so.
func (r *Relay) shutdown() bool {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return false
	}
	r.closed = true
	close(r.done)
	listeners := slices.Collect(maps.Keys(r.listeners))
	allocations := slices.Collect(maps.Keys(r.allocations))
	r.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close() // closing is all that is left to do
	}
	for _, a := range allocations {
		_ = a.Close()
	}
	for _, l := range r.loops {
		l.stop()
	}
	return true
}

func (r *Relay) free() (err error) {
	for _, l := range r.loops {
		err = errors.Join(err, l.free())
	}
	return err
}

// spawn runs f in a goroutine that Run waits for, once Run runs. It says no
// when the Relay is closed.
func (r *Relay) spawn(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return false
	case r.running:
		r.tasks.Go(f)
	default:
		r.waiting = append(r.waiting, f)
	}
	return true
}
