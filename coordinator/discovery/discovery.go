// Package discovery says where the others are: coordinators at addresses that
// somebody wrote down, of which names are looked up again and again; and in
// Kubernetes all roles, as the API server knows them. It connects to none of
// them; package uplink does.
package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Endpoint is where a coordinator may be.
type Endpoint struct {
	// URL is what signal.URL makes of the address, without a role's path, like
	// "ws://host:8000". Its host is the Host header and the name in a certificate.
	URL string
	// Dial is the "ip:port" to connect to; "" means what URL says.
	Dial string
}

// Source is a set of endpoints that changes.
type Source interface {
	// Watch calls update with the whole set, as soon as anything is known and
	// whenever it changed, one call at a time, until ctx ends.
	Watch(ctx context.Context, update func([]Endpoint))
}

// MaxEndpoints bounds what one name may stand for; what is beyond is left out.
const MaxEndpoints = 256

// Times of looking up names, before jitter.
const (
	period  = 5 * time.Second
	urgent  = time.Second // while a name has never been found
	patient = 5 * time.Second
)

// resolver is what looks names up; *net.Resolver is one.
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

var _ resolver = (*net.Resolver)(nil)

// Config is what Addresses need.
type Config struct {
	// Addresses, each as signal.URL takes it ("host:port" or a URL). A name may
	// stand for several coordinators.
	Addresses []string
	// Logger receives what cannot be found; nil means silence.
	Logger *slog.Logger
	// Resolver looks names up; nil means that of the system.
	Resolver resolver
}

// Addresses are the endpoints behind a list of addresses. IP addresses are
// endpoints as they are; a name is one for each address that it has, looked up
// every five seconds. While a look-up fails, what was known stays.
type Addresses struct {
	log      *slog.Logger
	resolver resolver
	entries  []entry
}

var _ Source = (*Addresses)(nil)

// entry is one address of the list.
type entry struct {
	url  string
	host string // a name to look up; "" = the URL says an IP address
	port string
}

// New checks the addresses. It starts nothing and looks nothing up.
func New(addresses []string, log *slog.Logger) (*Addresses, error) {
	return NewAddresses(Config{Addresses: addresses, Logger: log})
}

// NewAddresses is New with all that can be chosen.
func NewAddresses(cfg Config) (*Addresses, error) {
	a := &Addresses{log: cfg.Logger, resolver: cfg.Resolver}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.resolver == nil {
		a.resolver = net.DefaultResolver
	}
	for _, address := range cfg.Addresses {
		e, err := parse(address)
		if err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
		if !slices.Contains(a.entries, e) {
			a.entries = append(a.entries, e)
		}
	}
	return a, nil
}

func parse(address string) (entry, error) {
	base, err := signal.URL(address, "")
	if err != nil {
		return entry{}, err
	}
	u, err := url.Parse(base)
	if err != nil {
		return entry{}, fmt.Errorf("coordinator address %q: %w", address, err)
	}
	e := entry{url: base, host: u.Hostname(), port: u.Port()}
	if _, err := netip.ParseAddr(e.host); err == nil {
		e.host = ""
	}
	if e.port == "" {
		e.port = map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
	}
	return e, nil
}

// Watch is part of Source.
func (a *Addresses) Watch(ctx context.Context, update func([]Endpoint)) {
	known := make([][]netip.Addr, len(a.entries)) // by entry
	failing := make([]string, len(a.entries))     // why, as it was logged
	last := a.endpoints(known)                    // what needs no look-up does not wait for one
	if len(last) > 0 || !a.names() {
		update(slices.Clone(last))
	}
	if !a.names() {
		<-ctx.Done()
		return
	}
	for {
		found := a.lookUpAll(ctx, known, failing)
		if ctx.Err() != nil {
			return
		}
		if now := a.endpoints(known); !slices.Equal(now, last) {
			update(slices.Clone(now))
			last = now
		}
		pause := period
		if !found {
			pause = urgent
		}
		wait(ctx, pause-pause/4+rand.N(pause/2)) // +- 25 %
	}
}

// names says whether there is any to be looked up.
func (a *Addresses) names() bool {
	return slices.ContainsFunc(a.entries, func(e entry) bool { return e.host != "" })
}

// lookUpAll refreshes what is known of each name, of all at the same time. It
// says whether something is known of each.
func (a *Addresses) lookUpAll(ctx context.Context, known [][]netip.Addr, failing []string) (all bool) {
	var group sync.WaitGroup
	for i, e := range a.entries {
		if e.host != "" {
			group.Go(func() { known[i], failing[i] = a.refresh(ctx, e.host, known[i], failing[i]) })
		}
	}
	group.Wait()
	for i, e := range a.entries {
		if e.host != "" && len(known[i]) == 0 {
			return false
		}
	}
	return true
}

// refresh looks a name up. If that fails it answers what was known, and why; a
// reason that is new is logged.
func (a *Addresses) refresh(ctx context.Context, host string, known []netip.Addr, failing string) (addrs []netip.Addr, why string) {
	addrs, err := a.lookUp(ctx, host)
	if err == nil {
		return addrs, ""
	}
	if why = err.Error(); why != failing && ctx.Err() == nil { // once, not at each attempt
		a.log.Warn("coordinator's name is not found; what was known stays", "name", host, "known", len(known), "cause", err)
	}
	return known, why
}

// lookUp answers the addresses of a name in a fixed order.
func (a *Addresses) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	raw, err := a.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("look up: %w", err)
	}
	addrs := make([]netip.Addr, 0, len(raw))
	for _, addr := range raw {
		if addr = addr.Unmap(); addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() {
			addrs = append(addrs, addr)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	if len(addrs) == 0 {
		return nil, errors.New("look up: it has no address")
	}
	return addrs[:min(len(addrs), MaxEndpoints)], nil
}

// endpoints is the whole set, sorted.
func (a *Addresses) endpoints(known [][]netip.Addr) []Endpoint {
	var all []Endpoint
	for i, e := range a.entries {
		if e.host == "" {
			all = append(all, Endpoint{URL: e.url})
		}
		for _, addr := range known[i] {
			all = append(all, Endpoint{URL: e.url, Dial: net.JoinHostPort(addr.String(), e.port)})
		}
	}
	slices.SortFunc(all, func(a, b Endpoint) int { return cmp.Or(cmp.Compare(a.URL, b.URL), cmp.Compare(a.Dial, b.Dial)) })
	return slices.Compact(all)
}

// wait is a pause that ends with ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
