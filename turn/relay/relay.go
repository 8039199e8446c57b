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
	"net/netip"
	"runtime"
	"sync"
	"time"
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
	cfg   Config
	total bucket // of Config.Bandwidth

	mu        sync.Mutex
	closed    bool
	listeners map[*Listener]struct{}
}

// New checks cfg. It starts nothing; call Run, or Close if Run will not be
// called.
func New(cfg Config) (*Relay, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Relay{cfg: cfg, listeners: map[*Listener]struct{}{}}, nil
}

// ListenUDP binds Config.Loops sockets to addr and makes them one Listener; port 0 takes a
// free one. An unspecified IPv6 address takes IPv4 clients as well. It may be
// called before and while Run runs.
func (r *Relay) ListenUDP(addr netip.AddrPort) (*Listener, error) {
	return nil, fmt.Errorf("listen on %s: %w", addr, errors.ErrUnsupported)
}

// Run relays until ctx ends (nil) or a reader thread fails. It closes the
// Relay, and returns after the last goroutine ended. It may be called once.
func (r *Relay) Run(ctx context.Context) error {
	<-ctx.Done()
	return r.Close()
}

// Close closes all listeners and allocations and ends Run. It may be called
// more than once and returns after the last goroutine ended.
func (r *Relay) Close() error { return nil }
