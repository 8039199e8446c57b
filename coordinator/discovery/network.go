package discovery

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// Widest networks of Services that are reckoned with, in bits of the prefix. API
// servers before Kubernetes 1.33 take no IPv4 one that is wider than /12, and no
// IPv6 one than /108 (kube-apiserver --service-cluster-ip-range); later ones, whose
// ServiceCIDRs say it, IPv6 of /64 as well.
const (
	widestIPv4 = 12
	widestIPv6 = 64
)

// maxNetworks bounds what a cluster may have; with more all addresses are taken
// for those of Services.
const maxNetworks = 256

// ServiceNetworkConfig is what a ServiceNetwork needs.
type ServiceNetworkConfig struct {
	// API may list and watch ServiceCIDRs; if it may not, see ServiceNetwork.
	API *cluster.API
	// Service is the address of the API server's own Service, the zero one if it is
	// not known.
	Service netip.Addr
	// Logger receives that the network is not known exactly; nil means silence.
	Logger *slog.Logger
}

// ServiceNetwork is where a cluster's Services have their addresses (ClusterIPs):
// what its ServiceCIDRs say, of which there may be several, and more later
// (https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/).
//
// Before Kubernetes 1.33 there are none, and without a right to them they cannot
// be read. Then it is the widest network that there may be around the API server's
// own Service, which always has the first address of the cluster's first network.
// That is too much rather than too little; but of another family's network, and of
// further ones, nothing is known.
type ServiceNetwork struct{ cfg ServiceNetworkConfig }

// NewServiceNetwork starts nothing.
func NewServiceNetwork(cfg ServiceNetworkConfig) *ServiceNetwork {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &ServiceNetwork{cfg}
}

// Watch calls update with the prefixes, sorted, when the API server has said what
// there is, or that it does not say it, and whenever they changed, one call at a
// time, until ctx ends. While the server is away the last ones stay. It returns
// after its last goroutine ended. It is a turn.Network.
func (n *ServiceNetwork) Watch(ctx context.Context, update func([]netip.Prefix)) {
	of := &readable{Resource: n.cfg.API.ServiceCIDRs(), refused: make(chan struct{})}
	informer := cluster.Informer(n.cfg.API, of, &networkingv1.ServiceCIDR{}, nil, func(*metav1.ListOptions) {})
	var last []netip.Prefix
	warned := false
	follow(ctx, of.refused, func() {
		now := prefixes(known[*networkingv1.ServiceCIDR](informer), n.cfg.Service)
		if now == nil {
			if now = around(n.cfg.Service); !warned {
				n.cfg.Logger.Warn("the networks of the cluster's Services are not known exactly; prefixes of peers are closed for the widest one that there may be",
					"closed", now, "cause", of.cause(),
					"remedy", "let the pod's service account list and watch servicecidrs, as deploy/kubernetes/components/service-network does (Kubernetes 1.33 and later); or list peers one by one")
			}
			warned = true
		}
		if last == nil || !slices.Equal(now, last) {
			update(slices.Clone(now))
		}
		last = now
	}, informer)
}

// readable is a resource of which it is noted that it may not be read, or is not
// there.
type readable struct {
	cluster.Resource[*networkingv1.ServiceCIDRList]

	refused chan struct{} // closed at the first refusal
	once    sync.Once
	err     error // of it, written before refused is closed
}

// List is part of cluster.Resource.
func (r *readable) List(ctx context.Context, o metav1.ListOptions) (*networkingv1.ServiceCIDRList, error) {
	list, err := r.Resource.List(ctx, o)
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsUnauthorized(err) {
		r.once.Do(func() {
			r.err = err
			close(r.refused)
		})
	}
	return list, err
}

// cause is why nothing is known.
func (r *readable) cause() error {
	select {
	case <-r.refused:
		return r.err
	default:
		return errors.New("the API server has no ServiceCIDRs")
	}
}

// prefixes are those of ServiceCIDRs and the address of the API server, sorted; nil
// if there is no ServiceCIDR. Ones that are about to be deleted have Services still.
func prefixes(list []*networkingv1.ServiceCIDR, server netip.Addr) []netip.Prefix {
	var all []netip.Prefix
	for _, o := range list {
		for _, text := range o.Spec.CIDRs {
			if p, err := netip.ParsePrefix(text); err == nil {
				all = append(all, p.Masked())
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	if len(all) > maxNetworks {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	if server.IsValid() {
		all = append(all, netip.PrefixFrom(server, server.BitLen()))
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// around is the widest network whose first address but one is that of the API
// server's Service, as API servers give it out, and that address itself; none if
// it is not known.
func around(server netip.Addr) []netip.Prefix {
	if !server.IsValid() {
		return []netip.Prefix{}
	}
	all := []netip.Prefix{netip.PrefixFrom(server, server.BitLen())}
	first, widest := server.Prev(), widestIPv4
	if server.Is6() {
		widest = widestIPv6
	}
	for bits := server.BitLen() - 1; bits >= widest; bits-- {
		if p := netip.PrefixFrom(first, bits); p.Masked() == p && p.Contains(server) {
			all = []netip.Prefix{p}
		}
	}
	return all
}
