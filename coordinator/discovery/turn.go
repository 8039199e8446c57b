package discovery

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// TurnConfig is what Turn needs.
type TurnConfig struct {
	// API may list and watch the Service, and the pods of the namespace. If it may
	// get Nodes, their external addresses are preferred.
	API *cluster.API
	// Namespace and Service of the gates.
	Namespace, Service string
	// Pods is the label selector of the gates' pods, "" = those that the Service
	// selects, of all pods in the namespace.
	Pods string
	// Logger receives what cannot be found or used; nil means silence.
	Logger *slog.Logger
}

// Turn is where browsers outside a cluster find the gates of a Service.
type Turn struct{ cfg TurnConfig }

// NewTurn starts nothing.
func NewTurn(cfg TurnConfig) *Turn {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("service", cfg.Service)
	return &Turn{cfg}
}

// nodePatience bounds a question for a Node.
const nodePatience = 2 * time.Second

// Watch calls update with the URLs of the gates (RFC 7065), at most
// signal.MaxURLs: one for each address and port of the Service. The addresses are
// those of its load balancer's status, else its external ones, else those of
// nodes: a URL without a host ("turn::30478?transport=udp"), which stands for
// that by which the page was found, and those of the nodes with gates.
//
// Nothing is called until the API server has said what there is; then update is,
// even if there are none, and whenever they changed, one call at a time, until
// ctx ends. While the server is away the last ones stay. It returns after its
// last goroutine ended.
func (t *Turn) Watch(ctx context.Context, update func(urls []string)) {
	api := t.cfg.API
	services := cluster.Informer(api, api.Services(t.cfg.Namespace), &corev1.Service{}, t.cfg.Logger, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, t.cfg.Service).String()
	})
	pods := cluster.Informer(api, api.Pods(t.cfg.Namespace), &corev1.Pod{}, t.cfg.Logger, func(o *metav1.ListOptions) {
		o.LabelSelector = t.cfg.Pods
	})
	nodes := nodes{api: api, log: t.cfg.Logger, external: map[string][]netip.Addr{}}
	var last, refused []string
	first := true
	follow(ctx, nil, func() {
		var now, bad []string
		for _, s := range known[*corev1.Service](services) {
			if s.Name != t.cfg.Service {
				continue
			}
			now, bad = relayURLs(s, func() []netip.Addr { return nodes.addresses(ctx, s, known[*corev1.Pod](pods)) })
		}
		if len(bad) > 0 && !slices.Equal(bad, refused) {
			t.cfg.Logger.Warn("addresses in the status of the load balancer are malformed and not used", "addresses", bad)
		}
		if ctx.Err() == nil && (first || !slices.Equal(now, last)) {
			update(slices.Clone(now))
		}
		first, last, refused = false, now, bad
	}, services, pods)
}

// nodes knows external addresses of nodes, where it may.
type nodes struct {
	api      *cluster.API
	log      *slog.Logger
	denied   bool
	external map[string][]netip.Addr // by node, of those that have any
}

// addresses of the nodes where pods of a Service run: external ones if the node
// has any and we may read it, else those that the pods know. Once the API server
// has denied a Node, none is asked for.
func (n *nodes) addresses(ctx context.Context, service *corev1.Service, pods []*corev1.Pod) []netip.Addr {
	var all []netip.Addr
	for _, h := range hostsOf(service, pods) {
		external := slices.DeleteFunc(slices.Clone(n.read(ctx, h.node)), func(ip netip.Addr) bool { return !hasFamily(service, ip) })
		if len(external) > 0 {
			h.addrs = external
		}
		all = append(all, h.addrs...)
	}
	return all
}

// read answers the external addresses of a node, none if they are not known.
func (n *nodes) read(ctx context.Context, name string) []netip.Addr {
	if addrs := n.external[name]; len(addrs) > 0 || n.denied || name == "" {
		return addrs
	}
	ctx, cancel := context.WithTimeout(ctx, nodePatience)
	defer cancel()
	node, err := n.api.Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		n.denied = true
		n.log.Info("Nodes may not be read; their internal addresses are told where a load balancer is missing", "cause", err)
		return nil
	case err != nil:
		n.log.Debug("Node cannot be read", "node", name, "cause", err)
		return nil
	}
	if addrs := externalOf(node); len(addrs) > 0 {
		n.external[name] = addrs
	}
	return n.external[name]
}
