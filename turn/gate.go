// Package turn is the role that relays media between browsers and workers
// which cannot reach one another: a TURN server (RFC 8656) that admits only
// credentials minted by a coordinator and relays only to live workers.
package turn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/pion/turn/v2"
	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Gate is a TURN server and its connections to the coordinators.
type Gate struct {
	cfg      Config
	id       string
	log      *slog.Logger
	doors    []*door
	urls     []string
	peers    *peers
	counters counters
	targets  []string // WebSocket URLs of the coordinators

	mu    sync.Mutex
	users map[string]int // allocations by username
}

// New checks cfg and binds the listeners, so that a port in use is an error
// here. It starts nothing: call Run, or Close if Run will not be called.
func New(cfg Config) (*Gate, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("turn: %w", err)
	}
	g := &Gate{
		cfg: cfg, id: signal.NewID(), log: cfg.Logger,
		peers: newPeers(cfg.Peers), users: map[string]int{},
	}
	for _, address := range cfg.Coordinators {
		u, err := signal.URL(address, "/ws/turn")
		if err != nil {
			return nil, fmt.Errorf("turn: %w", err)
		}
		g.targets = append(g.targets, u)
	}
	for _, l := range cfg.Listeners {
		conn, err := net.ListenPacket(l.Protocol, l.Address)
		if err != nil {
			return nil, errors.Join(
				fmt.Errorf("turn: listen on turn.listeners %s %q: %w; is another process using the port?", l.Protocol, l.Address, err),
				g.Close())
		}
		if udp, ok := conn.(*net.UDPConn); ok {
			// Smaller buffers than wished are no reason to refuse.
			_ = udp.SetReadBuffer(socketBuffer)
			_ = udp.SetWriteBuffer(socketBuffer)
		}
		g.doors = append(g.doors, newDoor(conn, g))
		g.urls = append(g.urls, cfg.announcedURL(conn.LocalAddr()))
	}
	return g, nil
}

// complete fills in defaults and refuses what cannot work.
func (cfg *Config) complete() error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Realm == "" {
		cfg.Realm = defaultRealm
	}
	if cfg.MaxAllocations == 0 {
		cfg.MaxAllocations = defaultMaxAllocations
	}
	if cfg.MaxPerUser == 0 {
		cfg.MaxPerUser = defaultMaxPerUser
	}
	if len(cfg.Listeners) == 0 {
		return errors.New("turn.listeners is empty; give at least one")
	}
	for _, l := range cfg.Listeners {
		if l.Protocol != UDP {
			return fmt.Errorf("turn.listeners: protocol %q is not spoken, only %q", l.Protocol, UDP)
		}
	}
	if len(cfg.Secrets) == 0 {
		return errors.New("no secret; set secrets.turn or secrets.worker")
	}
	for _, s := range cfg.Secrets {
		if s == "" {
			return errors.New("a secret is empty; set secrets.turn or secrets.worker")
		}
	}
	if cfg.PublicAddress != "" && !signal.ValidHost(cfg.PublicAddress) {
		return fmt.Errorf("public address %q is neither a host name nor an IP address", cfg.PublicAddress)
	}
	cfg.RelayAddress = cfg.RelayAddress.Unmap()
	if a := cfg.RelayAddress; a.IsValid() && (!a.Is4() || a.IsUnspecified() || a.IsMulticast()) {
		return fmt.Errorf("relay address %s is not the IPv4 address of one host", a)
	}
	return nil
}

// announcedURL is where clients find a listener. The host is the public
// address, else the one address that the listener is bound to, else nothing:
// the coordinator then fills in the name that the browser found it by.
func (cfg Config) announcedURL(local net.Addr) string {
	bound, _ := addrPort(local)
	host := cfg.PublicAddress
	if host == "" && !bound.Addr().IsUnspecified() {
		host = bound.Addr().WithZone("").String()
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + host + "]"
	}
	return "turn:" + host + ":" + strconv.Itoa(int(bound.Port())) + "?transport=udp"
}

// URLs are what the gate announces, one per listener.
func (g *Gate) URLs() []string { return append([]string(nil), g.urls...) }

// Run serves until ctx ends (nil) or serving fails. It returns after the last
// goroutine ended, and may be called once.
func (g *Gate) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range g.doors {
		server, err := turn.NewServer(turn.ServerConfig{
			PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: d, RelayAddressGenerator: d, PermissionHandler: d.permit}},
			Realm:             g.cfg.Realm,
			AuthHandler:       d.authenticate,
			LoggerFactory:     logFactory{g.log},
		})
		if err != nil {
			return errors.Join(fmt.Errorf("turn: start server: %w", err), g.Close())
		}
		group.Go(func() error { return d.serve(ctx, server) })
	}
	for _, target := range g.targets {
		group.Go(func() error {
			g.join(ctx, target)
			return nil
		})
	}
	g.log.Info("turn is up", "urls", g.urls, "coordinators", len(g.targets))
	return group.Wait()
}

// serve waits until ctx ends, or the listener fails, and ends the server.
func (d *door) serve(ctx context.Context, server *turn.Server) error {
	select {
	case <-ctx.Done():
	case <-d.ended:
	}
	failed := ctx.Err() == nil
	err := server.Close()
	d.finish()
	if failed {
		return fmt.Errorf("turn: read %s: %w", d.LocalAddr(), d.cause)
	}
	if err != nil {
		return fmt.Errorf("turn: close %s: %w", d.LocalAddr(), err)
	}
	return nil
}

// Close releases the listeners of a Gate that was never run.
func (g *Gate) Close() error {
	var errs []error
	for _, d := range g.doors {
		if err := d.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close listener: %w", err))
		}
	}
	return errors.Join(errs...)
}

// reserve counts an allocation of a user in, unless there are too many.
func (g *Gate) reserve(user string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.counters.allocations.Load() >= int64(g.cfg.MaxAllocations) || g.users[user] >= g.cfg.MaxPerUser {
		return false
	}
	g.users[user]++
	g.counters.allocations.Add(1)
	return true
}

func (g *Gate) unreserve(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counters.allocations.Add(-1)
	if g.users[user]--; g.users[user] <= 0 {
		delete(g.users, user)
	}
}
