// Package turn is the role that relays media between browsers and workers
// which cannot reach one another: a TURN server (RFC 8656) that admits only
// credentials minted by a coordinator, or of a static user, and relays only to
// live workers.
//
// pion/turn v2 keeps the allocations; package relay carries the data. What a
// client may do is decided between the two, in door: pion's own answers to what
// is wrong lack codes, signatures, or both.
//
// Where the server ends: an allocation relays UDP in one address family, IPv4 or
// IPv6 as the client asks (REQUESTED-ADDRESS-FAMILY). pion/turn v2 keeps one
// relayed socket per allocation, so a request for both
// (ADDITIONAL-ADDRESS-FAMILY) gets the IPv4 one and is told so with
// ADDRESS-ERROR-CODE 440, as RFC 8656 7.2 provides. Ports are not reserved
// (EVEN-PORT with the R bit, RESERVATION-TOKEN: 508), DONT-FRAGMENT is not
// understood (420), ICMP is not forwarded, and TCP is not relayed (442).
// Integrity is HMAC-SHA1, which is all that browsers speak.
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
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pion/turn/v2"
	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/relay"
)

// Gate is a TURN server and its connections to the coordinators.
type Gate struct {
	cfg        Config
	id         string
	log        *slog.Logger
	relay      *relay.Relay
	doors      []*door
	urls       []string
	identities []*identity
	sources    []Source

	admission *admission
	own       *ownAddresses
	keyring   *keyring
	nonces    *nonces
	throttle  *throttle
	quota     *quota
	current   atomic.Pointer[settings]

	draining atomic.Bool
	drained  atomic.Bool
	drain    context.Context // ends when draining begins
	begin    context.CancelFunc
	emptied  chan struct{} // holds one when the last allocation has ended
	silence  time.Duration // see there
}

// New checks cfg and binds the listeners, so that a port in use is an error
// here. It starts nothing: call Run, or Close if Run will not be called.
func New(cfg Config) (*Gate, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("turn: %w", err)
	}
	g := &Gate{
		cfg: cfg, id: signal.NewID(), log: cfg.Logger,
		keyring: newKeyring(cfg.Realm, cfg.credentials()), nonces: newNonces(), throttle: newThrottle(time.Now()),
		quota: newQuota(cfg.MaxAllocations, cfg.MaxPerUser, cfg.MaxPerAddress), emptied: make(chan struct{}, 1),
		silence: silence,
	}
	g.limit(cfg)
	g.own = newOwnAddresses(cfg.ownNames())
	g.admission = newAdmission(cfg.Peers, g.own)
	if cfg.Network != nil {
		g.admission.closeNetwork(anyNetwork())
	}
	g.drain, g.begin = context.WithCancel(context.Background())
	g.sources = append(g.sources, cfg.Sources...)
	coordinators, err := newCoordinators(g, cfg.Coordinators)
	if err != nil {
		return nil, err
	}
	if len(cfg.Coordinators) > 0 {
		g.sources = append(g.sources, coordinators)
	}
	g.relay, err = relay.New(relay.Config{Admission: g.admission, Loops: cfg.Sockets, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("turn: %w", err)
	}
	for _, l := range cfg.Listeners {
		if err := g.open(l); err != nil {
			return nil, errors.Join(err, g.Close())
		}
	}
	return g, nil
}

// open binds one listener.
func (g *Gate) open(l Listener) error {
	conn, err := g.listen(l)
	if err != nil {
		err = fmt.Errorf("turn: listen on turn.listeners %s %q: %w", l.Protocol, l.Address, err)
		if inUse(err) {
			err = fmt.Errorf("%w; is another process using the port?", err)
		}
		return err
	}
	local, _ := addrPort(conn.LocalAddr())
	if l.transport() == "udp" {
		g.own.add(local.Port(), time.Now())
	}
	g.doors = append(g.doors, newDoor(conn, l, g))
	g.urls = append(g.urls, l.scheme()+g.cfg.announcedHost(local)+"?transport="+l.transport())
	return nil
}

func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// ownNames are the addresses by which the outside knows this machine.
func (cfg Config) ownNames() []netip.Addr {
	names := append([]netip.Addr(nil), cfg.RelayAddresses...)
	if ip, err := netip.ParseAddr(cfg.PublicAddress); err == nil {
		names = append(names, ip.Unmap())
	}
	return names
}

// announcedHost is host:port where clients find a listener. The host is the
// public address, else the one address that the listener is bound to, else
// nothing: the coordinator then fills in the name that the browser found it by.
func (cfg Config) announcedHost(bound netip.AddrPort) string {
	host := cfg.PublicAddress
	if host == "" && !bound.Addr().IsUnspecified() {
		host = bound.Addr().String()
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(bound.Port()))
}

// URLs are what the gate announces, one per listener (RFC 7065).
func (g *Gate) URLs() []string { return append([]string(nil), g.urls...) }

// SetCredentials replaces the secrets and static users. Open allocations live
// on with the credential that they were opened with. It may be called at any
// time.
func (g *Gate) SetCredentials(c Credentials) error {
	if err := c.validate(len(g.cfg.Coordinators) > 0); err != nil {
		return fmt.Errorf("turn: %w", err)
	}
	g.keyring.set(g.keyring.realm(), c)
	return nil
}

// Ready is nil until the gate has drained: while it still serves allocations it
// must stay ready, for a Service of Kubernetes cuts the UDP flows of an
// endpoint that is not. It may be called at any time.
func (g *Gate) Ready() error {
	if g.drained.Load() {
		return errors.New("the gate has drained")
	}
	return nil
}

// Run serves until ctx ends, then drains, or until serving fails. The error is
// nil after a drain. It returns after the last goroutine ended, and may be
// called once.
func (g *Gate) Run(ctx context.Context) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	var doors sync.WaitGroup
	for _, d := range g.doors {
		if err := d.serve(); err != nil {
			stop()
			return errors.Join(err, group.Wait(), g.Close())
		}
		doors.Add(1)
		group.Go(func() error {
			defer doors.Done()
			return d.await(serving)
		})
	}
	group.Go(func() error { return g.relay.Run(serving) })
	for _, i := range g.identities {
		group.Go(func() error { return i.watch(serving) })
	}
	for _, s := range g.sources {
		group.Go(func() error { g.follow(serving, s); return nil })
	}
	if g.cfg.Network != nil {
		group.Go(func() error { g.followNetwork(serving); return nil })
	}
	group.Go(func() error {
		select {
		case <-ctx.Done():
			g.drainUntil(serving)
		case <-serving.Done():
		}
		stop()
		return nil
	})
	g.log.Info("turn is up", "urls", signal.ShownURLs(g.urls), "sources", len(g.sources))
	err := group.Wait()
	doors.Wait()
	return err
}

// follow takes what a source lists until ctx ends.
func (g *Gate) follow(ctx context.Context, s Source) {
	name := s.String()
	s.Watch(ctx, func(addrs []netip.AddrPort) {
		used := g.admission.update(name, addrs)
		g.log.Info("peers changed", "source", name, "peers", used, "unusable", len(addrs)-used)
	})
}

// followNetwork keeps the service network closed to prefixes, from when there is
// the first one of Peers until ctx ends.
func (g *Gate) followNetwork(ctx context.Context) {
	select {
	case <-g.admission.wide:
	case <-ctx.Done():
		return
	}
	g.cfg.Network.Watch(ctx, func(network []netip.Prefix) {
		g.admission.closeNetwork(network)
		g.log.Info("service network is closed to prefixes of peers", "network", network)
	})
}

// serve gives a door to pion/turn.
func (d *door) serve() error {
	_, err := turn.NewServer(turn.ServerConfig{
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: d, RelayAddressGenerator: d, PermissionHandler: d.permit}},
		Realm:             d.gate.cfg.Realm,
		AuthHandler:       d.key,
		LoggerFactory:     logFactory{d.gate.log},
	})
	if err != nil {
		return fmt.Errorf("turn: start server: %w", err)
	}
	return nil
}

// await waits until ctx ends, or the listener fails, and ends the server.
func (d *door) await(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-d.ended:
	}
	failed := ctx.Err() == nil
	err := d.Listener.Close()
	d.finish()
	if failed {
		return fmt.Errorf("turn: read %s: %w", d.listener, d.cause)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("turn: close %s: %w", d.listener, err)
	}
	return nil
}

// Close releases the listeners of a Gate that was never run.
func (g *Gate) Close() error {
	g.begin()
	if err := g.relay.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("turn: close: %w", err)
	}
	return nil
}
