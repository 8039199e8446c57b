package discovery

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// SlicesConfig is what Coordinators and Workers need: a client that may list
// and watch EndpointSlices of the namespace, and what to look for.
type SlicesConfig struct {
	API *cluster.API
	// Namespace and Service whose EndpointSlices are followed, and the name of
	// its port.
	Namespace, Service, Port string
	// Logger receives what cannot be found; nil means silence.
	Logger *slog.Logger
}

func (cfg *SlicesConfig) complete() {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("service", cfg.Service)
}

// String names the Service, for logs.
func (cfg SlicesConfig) String() string { return "Service " + cfg.Namespace + "/" + cfg.Service }

// informer follows the EndpointSlices of the Service. They are its by a label
// (https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ownership).
func (cfg SlicesConfig) informer() cache.SharedIndexInformer {
	selector := labels.Set{discoveryv1.LabelServiceName: cfg.Service}.String()
	return cluster.Informer(cfg.API, cfg.API.EndpointSlices(cfg.Namespace), &discoveryv1.EndpointSlice{}, cfg.Logger,
		func(o *metav1.ListOptions) { o.LabelSelector = selector })
}

// watch calls update with what pick makes of the slices: as soon as they are
// known, even if there are none, and whenever that changed.
func (cfg SlicesConfig) watch(ctx context.Context, pick func([]*discoveryv1.EndpointSlice) []netip.AddrPort, update func([]netip.AddrPort)) {
	informer := cfg.informer()
	var last []netip.AddrPort
	first := true
	follow(ctx, nil, func() {
		now := pick(known[*discoveryv1.EndpointSlice](informer))
		if first || !slices.Equal(now, last) {
			update(slices.Clone(now))
		}
		first, last = false, now
	}, informer)
}

// Coordinators are those behind a Service of Kubernetes: each address of its
// EndpointSlices, ready or not, and of pods that are about to end for as long as
// they are listed. Who is not ready yet may be joined already, and who drains
// still serves its pages.
type Coordinators struct{ cfg SlicesConfig }

var _ Source = (*Coordinators)(nil)

// NewCoordinators starts nothing.
func NewCoordinators(cfg SlicesConfig) *Coordinators {
	cfg.complete()
	return &Coordinators{cfg}
}

// String names the source in logs.
func (c *Coordinators) String() string { return c.cfg.String() }

// Watch is part of Source. Nothing is called until the API server has said what
// there is; then update is, even if that is nothing. While the server is away the
// last set stays. It returns after its last goroutine ended.
func (c *Coordinators) Watch(ctx context.Context, update func([]Endpoint)) {
	c.cfg.watch(ctx, func(list []*discoveryv1.EndpointSlice) []netip.AddrPort {
		return addresses(list, wanted{port: c.cfg.Port, protocol: corev1.ProtocolTCP, limit: MaxEndpoints})
	}, func(addrs []netip.AddrPort) {
		set := make([]Endpoint, 0, len(addrs))
		for _, a := range addrs {
			if u, err := signal.URL(a.String(), ""); err == nil {
				set = append(set, Endpoint{URL: u})
			}
		}
		update(set)
	})
}

// Workers are the media addresses of workers behind a Service of Kubernetes: of
// those that serve or will, and of pods that are about to end for as long as they
// serve. A worker has its first game before the cluster calls it ready, and a page
// whose relay is refused does not ask again. It is a turn.Source.
type Workers struct{ cfg SlicesConfig }

// NewWorkers starts nothing.
func NewWorkers(cfg SlicesConfig) *Workers {
	cfg.complete()
	return &Workers{cfg}
}

// String names the source in logs.
func (w *Workers) String() string { return w.cfg.String() }

// Watch calls update with all addresses, at most signal.MaxPeers, when the API
// server has said what there is and whenever that changed, one call at a time,
// until ctx ends. While the server is away the last set stays. It returns after
// its last goroutine ended.
func (w *Workers) Watch(ctx context.Context, update func([]netip.AddrPort)) {
	w.cfg.watch(ctx, func(list []*discoveryv1.EndpointSlice) []netip.AddrPort {
		return addresses(list, wanted{port: w.cfg.Port, protocol: corev1.ProtocolUDP, serving: true, limit: signal.MaxPeers})
	}, update)
}

// wanted is what addresses looks for.
type wanted struct {
	port     string // its name
	protocol corev1.Protocol
	serving  bool // no endpoints that have ceased to serve
	limit    int
}

// addresses of all slices, sorted, each once; what is beyond the limit is left
// out. Slices of names (FQDN), ports without a number and malformed addresses
// are ignored.
func addresses(list []*discoveryv1.EndpointSlice, w wanted) []netip.AddrPort {
	var all []netip.AddrPort
	for _, slice := range list {
		ports := w.ports(slice)
		if len(ports) == 0 {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			if w.serving && ceased(endpoint.Conditions) {
				continue
			}
			for _, text := range endpoint.Addresses {
				ip, ok := address(text, slice.AddressType)
				for _, port := range ports {
					if ok {
						all = append(all, netip.AddrPortFrom(ip, port))
					}
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b netip.AddrPort) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Port(), b.Port()))
	})
	all = slices.Compact(all)
	return all[:min(len(all), w.limit)]
}

// ports are those of a slice that are wanted. A port without a protocol is TCP.
func (w wanted) ports(slice *discoveryv1.EndpointSlice) []uint16 {
	var ports []uint16
	for _, p := range slice.Ports {
		named := p.Name != nil && *p.Name == w.port || p.Name == nil && w.port == ""
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if named && protocol == w.protocol && p.Port != nil && *p.Port > 0 && *p.Port <= 65535 {
			ports = append(ports, uint16(*p.Port))
		}
	}
	return ports
}

// ceased says that an endpoint has ended, or that its pod is about to and serves
// nobody any more. A condition that is not said is true, but for one of an old
// controller that says only whether the endpoint is ready.
func ceased(c discoveryv1.EndpointConditions) bool {
	starts := c.Terminating != nil && !*c.Terminating
	if c.Serving != nil {
		return !*c.Serving && !starts
	}
	return c.Ready != nil && !*c.Ready && !starts
}

// address reads one of a slice. What the API server would refuse in it is
// refused: an address that is not of its type or not of one host elsewhere.
func address(text string, kind discoveryv1.AddressType) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" || !ip.IsGlobalUnicast() || ip.Is4In6() {
		return netip.Addr{}, false
	}
	return ip, ip.Is4() && kind == discoveryv1.AddressTypeIPv4 || ip.Is6() && kind == discoveryv1.AddressTypeIPv6
}
