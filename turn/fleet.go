package turn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/turn/gateway"
)

// Fleet is a set of gates that changes while it runs: one for each listener that
// a gateway.Fleet is given, beside the gate of the configuration. Methods may be
// called concurrently, except that Apply has one caller.
type Fleet struct {
	base Config
	log  *slog.Logger

	work sync.WaitGroup // one for each gate that runs

	mu      sync.Mutex
	closed  bool
	members []*member // in the order in which they were opened
	ended   map[series]ListenerStats
}

var _ gateway.Fleet = (*Fleet)(nil)

// member is a gate of a fleet. What follows is guarded by Fleet.mu.
type member struct {
	gate   *Gate
	is     gateway.Listener   // what it serves
	stop   context.CancelFunc // ends it at once
	done   chan struct{}      // closed when it has ended
	retire context.CancelFunc // nil while it takes new allocations, else undoes that
	over   bool               // it has been told to end
}

// series is what the numbers of a listener are known by.
type series struct{ protocol, name string }

// fleetSockets is how many sockets a listener has by default: there may be many
// listeners, and one reader thread carries hundreds of games.
const fleetSockets = 1

// lastWait bounds the wait for the port of a gate that has nothing left to do.
const lastWait = 2 * time.Second

// NewFleet makes a fleet without gates. Limits, relay addresses, drain grace and
// logger of its gates are those of cfg, of which nothing else is looked at. It
// starts nothing. Call Run, or Close if Run will not be called.
func NewFleet(cfg Config) *Fleet {
	f := &Fleet{ended: map[series]ListenerStats{}, base: Config{
		RelayAddresses: cfg.RelayAddresses, MaxAllocations: cfg.MaxAllocations, MaxPerUser: cfg.MaxPerUser,
		MaxPerAddress: cfg.MaxPerAddress, MaxBandwidth: cfg.MaxBandwidth, Sockets: cfg.Sockets, DrainGrace: cfg.DrainGrace,
	}}
	if f.log = cfg.Logger; f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.base.Sockets == 0 {
		f.base.Sockets = fleetSockets
	}
	return f
}

// Run waits until ctx ends, then drains all gates as Gate.Run does. It returns
// after the last of them ended; nothing can be applied any more.
func (f *Fleet) Run(ctx context.Context) error {
	<-ctx.Done()
	f.mu.Lock()
	f.closed = true
	for _, m := range f.members {
		f.drain(m)
	}
	f.mu.Unlock()
	f.work.Wait()
	return nil
}

// Close ends all gates at once. It may be called more than once.
func (f *Fleet) Close() error {
	f.mu.Lock()
	f.closed = true
	for _, m := range f.members {
		if m.stop(); m.retire != nil {
			m.retire()
		}
	}
	f.mu.Unlock()
	f.work.Wait()
	return nil
}

// errEnding is what Apply says after the end.
var errEnding = errors.New("the process is ending")

// Apply implements gateway.Fleet. Another realm, public address, credential,
// certificate, peer or endpoint changes a gate as it runs. Another port or
// protocol takes another gate: the old one drains. A port that it still holds is
// an error for that long; whoever calls tries again.
func (f *Fleet) Apply(ctx context.Context, listeners []gateway.Listener) map[string]error {
	failed := map[string]error{}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		for _, l := range listeners {
			failed[l.ID] = errEnding
		}
		return failed
	}
	for _, m := range f.members {
		if !slices.ContainsFunc(listeners, m.serves) {
			f.drain(m)
		}
	}
	for _, l := range listeners {
		if err := f.apply(ctx, l); err != nil {
			failed[l.ID] = err
		}
	}
	f.forget(listeners)
	return failed
}

// serves says whether a gate can become that of a listener while it runs.
func (m *member) serves(l gateway.Listener) bool {
	return !m.over && m.is.ID == l.ID && m.is.Port == l.Port && m.is.Protocol == l.Protocol
}

// holds says whether a gate keeps another from binding its port.
func (m *member) holds(l gateway.Listener) bool {
	return m.is.Port == l.Port && Listener{Protocol: m.is.Protocol}.transport() == Listener{Protocol: l.Protocol}.transport()
}

// apply has one listener served.
func (f *Fleet) apply(ctx context.Context, l gateway.Listener) error {
	if f.closed { // while a port was waited for
		return errEnding
	}
	if l.Port == 0 {
		return errors.New("it has been given no port")
	}
	for _, m := range f.members {
		if m.serves(l) {
			return f.change(m, l)
		}
	}
	if err := f.await(ctx, l); err != nil {
		return err
	}
	return f.open(l)
}

// await waits until the port of a listener is free of gates that have no
// sessions, and says that those with sessions hold it.
func (f *Fleet) await(ctx context.Context, l gateway.Listener) error {
	for _, m := range slices.Clone(f.members) {
		if !m.holds(l) {
			continue
		}
		if m.retire == nil {
			return fmt.Errorf("port %d is that of %s", l.Port, m.is.ID)
		}
		if n := m.gate.quota.count(); n > 0 {
			return fmt.Errorf("port %d is held by %d sessions of %s until they or the drain grace of %s are over", l.Port, n, m.is.ID, f.base.DrainGrace)
		}
		f.mu.Unlock()
		wait(ctx, m.done, lastWait)
		f.mu.Lock()
		if slices.Contains(f.members, m) {
			return fmt.Errorf("port %d is about to be given back by %s", l.Port, m.is.ID)
		}
	}
	return nil
}

// wait is a wait for done that ends.
func wait(ctx context.Context, done <-chan struct{}, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// open binds a new gate and starts it.
func (f *Fleet) open(l gateway.Listener) error {
	if f.closed {
		return errEnding
	}
	cfg := f.base
	cfg.Listeners = []Listener{{
		Protocol: l.Protocol, Address: ":" + strconv.Itoa(int(l.Port)), Certificates: l.Certificates, Name: l.ID,
	}}
	cfg.PublicAddress, cfg.Realm, cfg.Peers = l.PublicAddress, l.Realm, staticPeers(l)
	c := credentialsOf(l)
	cfg.Secrets, cfg.Users = c.Secrets, c.Users
	cfg.DrainGrace = 0 // which is this fleet's to wait for
	cfg.Logger = f.log.With("listener", l.ID)
	gate, err := New(cfg)
	if err != nil {
		return err
	}
	gate.admission.update(l.ID, l.Endpoints)
	gate.admission.open(cfg.Peers, l.Closed)
	ctx, stop := context.WithCancel(context.Background())
	m := &member{gate: gate, is: l, stop: stop, done: make(chan struct{})}
	f.members = append(f.members, m)
	f.work.Go(func() { f.serve(ctx, m) })
	return nil
}

// serve runs a gate to its end.
func (f *Fleet) serve(ctx context.Context, m *member) {
	if err := m.gate.Run(ctx); err != nil {
		f.log.Error("listener has failed", "listener", m.is.ID, "cause", err)
	}
	m.stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = slices.DeleteFunc(f.members, func(o *member) bool { return o == m })
	for _, l := range m.gate.Stats().Listeners {
		key := series{l.Protocol, l.Name}
		f.ended[key] = f.ended[key].plus(l)
	}
	close(m.done)
}

// drain has a gate take no new allocations and ends it with the last of those
// that it has, or when its grace is over.
func (f *Fleet) drain(m *member) {
	if m.retire != nil {
		return
	}
	m.gate.draining.Store(true)
	ctx, undo := context.WithCancel(context.Background())
	m.retire = undo
	grace := f.base.DrainGrace
	f.work.Go(func() {
		m.gate.awaitEmpty(ctx, grace)
		f.mu.Lock()
		defer f.mu.Unlock()
		if ctx.Err() == nil {
			m.over = true
			m.stop()
		}
		undo()
	})
}

// change makes what a gate serves that of a listener, at once and without loss.
func (f *Fleet) change(m *member, l gateway.Listener) error {
	credentials := credentialsOf(l)
	if err := credentials.validate(false); err != nil {
		return err
	}
	g := m.gate
	if m.retire != nil { // it was to go, and is wanted again
		m.retire()
		m.retire = nil
		g.draining.Store(false)
	}
	g.keyring.set(l.Realm, credentials)
	if len(l.Certificates) > 0 && len(g.identities) > 0 {
		g.identities[0].given.Store(&l.Certificates)
	}
	if peers := staticPeers(l); !slices.Equal(peers, staticPeers(m.is)) || !slices.Equal(l.Closed, m.is.Closed) {
		g.admission.open(peers, l.Closed)
	}
	if !slices.Equal(l.Endpoints, m.is.Endpoints) {
		used := g.admission.update(l.ID, l.Endpoints)
		g.log.Info("peers changed", "peers", used, "unusable", len(l.Endpoints)-used)
	}
	if l.PublicAddress != m.is.PublicAddress {
		g.own.announce(Config{RelayAddresses: f.base.RelayAddresses, PublicAddress: l.PublicAddress}.ownNames())
	}
	m.is = l
	return nil
}

// forget drops the numbers of listeners that are gone for good.
func (f *Fleet) forget(wanted []gateway.Listener) {
	for key := range f.ended {
		same := func(l gateway.Listener) bool { return series{l.Protocol, l.ID} == key }
		left := func(m *member) bool { return same(m.is) }
		if !slices.ContainsFunc(wanted, same) && !slices.ContainsFunc(f.members, left) {
			delete(f.ended, key)
		}
	}
}

// Ready is nil until all gates have drained, as Gate.Ready is. It may be called
// at any time.
func (f *Fleet) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed && len(f.members) == 0 {
		return errors.New("the listeners of Gateways have drained")
	}
	return nil
}

// Stats are those of all gates together. Listeners are known by the IDs of their
// gateway.Listener; two gates of one are counted as one. It may be called at any
// time.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := Stats{Draining: f.closed}
	known := map[series]ListenerStats{}
	for _, m := range f.members {
		s := m.gate.Stats()
		sum.Allocations += s.Allocations
		sum.Peers += s.Peers
		for _, l := range s.Listeners {
			key := series{l.Protocol, l.Name}
			known[key] = known[key].plus(l)
		}
	}
	for key, l := range known {
		sum.Listeners = append(sum.Listeners, l.plus(f.ended[key]))
	}
	return sum
}

// staticPeers are the static peers of a listener. Its rules are those of
// gateway.Peer.
func staticPeers(l gateway.Listener) []Peer {
	peers := make([]Peer, 0, len(l.Peers))
	for _, p := range l.Peers {
		switch {
		case p.From > p.To:
		case p.To == 0:
			peers = append(peers, Peer{Prefix: p.Prefix})
		default:
			peers = append(peers, Peer{Prefix: p.Prefix, Port: max(p.From, 1), Last: p.To})
		}
	}
	return peers
}

func credentialsOf(l gateway.Listener) Credentials {
	c := Credentials{Secrets: l.Secrets}
	for _, u := range l.Users {
		c.Users = append(c.Users, User(u))
	}
	return c
}
