package discovery

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Listed is another source that a worker's pod follows once the cluster has
// listed it. A process runs up to two seconds before the kubelet has told its
// pod's address to the API server, and gates know workers by their EndpointSlices
// alone: until then they refuse to relay to it (403, RFC 8656 section 10.2), and a
// browser that was refused gives that path up for good. So nobody may be sent to
// a worker before the gates can know it.
type Listed struct {
	source   Source
	cfg      SlicesConfig
	patience time.Duration
}

var _ Source = (*Listed)(nil)

// NewListed starts nothing. The Service and its port of cfg are those by which
// gates know this worker. After patience the worker joins all the same: it may
// play without gates.
func NewListed(source Source, cfg SlicesConfig, patience time.Duration) *Listed {
	cfg.complete()
	return &Listed{source, cfg, patience}
}

// String names the source in logs.
func (l *Listed) String() string {
	if s, ok := l.source.(interface{ String() string }); ok {
		return s.String()
	}
	return l.cfg.String()
}

// Watch is part of Source. It returns after its last goroutine ended.
func (l *Listed) Watch(ctx context.Context, update func([]Endpoint)) {
	if !l.wait(ctx) && ctx.Err() == nil {
		l.cfg.Logger.Warn("no EndpointSlice has this pod's address; gates will not relay to it until one does: is kubernetes.workerService the Service that selects it?",
			"waited", l.patience)
	}
	l.source.Watch(ctx, update)
}

// wait says whether an address of this pod was listed in time.
func (l *Listed) wait(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	found := false
	l.cfg.watch(ctx, func(list []*discoveryv1.EndpointSlice) []netip.AddrPort {
		return addresses(list, wanted{port: l.cfg.Port, protocol: corev1.ProtocolUDP, limit: signal.MaxPeers})
	}, func(set []netip.AddrPort) {
		if own := ownAddresses(); slices.ContainsFunc(set, func(a netip.AddrPort) bool { return slices.Contains(own, a.Addr()) }) {
			found = true
			cancel()
		}
	})
	return found
}

// ownAddresses are those of this host's interfaces, none if they cannot be read.
func ownAddresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	return own
}
