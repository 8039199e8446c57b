package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// Times of a Controller.
const (
	debounce = 50 * time.Millisecond // further changes are taken together for so long
	again    = 2 * time.Second       // after something could not be done
	calm     = time.Minute           // without any change
)

// Lease is the name of the Lease that the leading Controller holds.
const Lease = "cloudretro-gateway"

// Config is what a Controller needs.
type Config struct {
	Cluster *cluster.Cluster
	// Settings but for Now.
	Settings Settings
	// Fleet serves the listeners in this pod.
	Fleet Fleet
	// Lead calls run while this process is the leading one of a Lease
	// (cluster.Cluster.Lead). nil: it never writes.
	Lead func(ctx context.Context, lease string, run func(context.Context) error) error
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

// Controller follows the cluster and has this pod serve what it asks for; the
// leading one of all also makes Services and writes conditions. While the API
// server is away, what is known stays in force.
type Controller struct {
	*feeds
	cfg      Config
	settings atomic.Pointer[Settings]
	custom   *custom
	secrets  *secrets
	writer   *writer

	// Of the goroutine of reconcile.
	namespaces, services, slices, pods *feed
	unserved                           map[string]string
}

// New makes a Controller and starts nothing.
func New(cfg Config) (*Controller, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	client, err := dynamic.NewForConfigAndClient(cfg.Cluster.REST, cfg.Cluster.HTTP)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	f := &feeds{api: cfg.Cluster.API, log: cfg.Logger, changed: make(chan struct{}, 1)}
	c := &Controller{
		feeds: f, cfg: cfg, custom: newCustom(f, client),
		secrets: &secrets{f, map[types.NamespacedName]*feed{}},
		writer:  newWriter(cfg.Cluster.API, client, cfg.Logger, f.note),
	}
	c.settings.Store(&cfg.Settings)
	return c, nil
}

// SetSecrets replaces those that hold where no GatewayConfig says others. It may
// be called at any time.
func (c *Controller) SetSecrets(secrets []string) {
	next := *c.settings.Load()
	next.Secrets = slices.Clone(secrets)
	c.settings.Store(&next)
	c.note()
}

// Run works until ctx ends. It returns after the last goroutine ended and may be
// called once.
func (c *Controller) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.reconcile(ctx) })
	if c.cfg.Lead != nil {
		group.Go(func() error { return c.cfg.Lead(ctx, Lease, c.writer.run) })
	}
	err := group.Wait()
	c.work.Wait()
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

// start begins to follow the cluster.
func (c *Controller) start(ctx context.Context) error {
	api, s := c.cfg.Cluster.API, c.settings.Load()
	all := func(what string, example runtime.Object) view {
		return view{what: what, example: example, convert: trim}
	}
	ours := all("pods of gates", &corev1.Pod{})
	ours.narrow = func(o *metav1.ListOptions) { o.LabelSelector = labels.SelectorFromSet(s.PodSelector).String() }
	var failures [4]error
	c.namespaces, failures[0] = follow(ctx, c.feeds, api.Namespaces(), all("namespaces", &corev1.Namespace{}))
	c.services, failures[1] = follow(ctx, c.feeds, api.Services(metav1.NamespaceAll), all("services", &corev1.Service{}))
	c.slices, failures[2] = follow(ctx, c.feeds, api.EndpointSlices(metav1.NamespaceAll), all("endpointslices", &discoveryv1.EndpointSlice{}))
	c.pods, failures[3] = follow(ctx, c.feeds, api.Pods(s.Namespace), ours)
	return errors.Join(append(failures[:], c.custom.start(ctx))...)
}

// reconcile has this pod serve what the cluster asks for, whenever that changes.
func (c *Controller) reconcile(ctx context.Context) error {
	if err := c.start(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		next, err := c.pass(ctx)
		if err != nil {
			return err
		}
		timer := time.NewTimer(next)
		select {
		case <-c.changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		pause(ctx, debounce)
	}
	return nil
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pass goes once from the cluster to the fleet, and says when to look again if
// nothing changes. As long as not all is known, nothing is done: a listener must
// not end because a Secret has not been read yet.
func (c *Controller) pass(ctx context.Context) (time.Duration, error) {
	known, err := c.custom.arrange(ctx)
	for _, fd := range []*feed{c.namespaces, c.services, c.slices, c.pods} {
		known = known && fd.known()
	}
	if err != nil || !known {
		return calm, err
	}
	out, _ := c.translate()
	if known, err = c.secrets.arrange(ctx, out.Secrets); err != nil || !known {
		return calm, err
	}
	out, resources := c.translate()
	failed := map[string]string{}
	for id, err := range c.cfg.Fleet.Apply(ctx, out.Listeners) {
		failed[id] = err.Error()
		if c.unserved[id] != failed[id] {
			c.log.Warn("listener of a Gateway is not served here", "listener", id, "cause", err)
		}
	}
	if !maps.Equal(failed, c.unserved) {
		c.unserved = failed
		out, resources = c.translate() // with what the listeners' conditions say of it
	}
	var next *draft
	if c.custom.read(crdClasses) && c.custom.read(crdGateways) { // or all Gateways would seem to be gone, and with them their Services
		next = &draft{out: out, of: resources, routes: c.custom.resources[crdRoutes], namespace: c.settings.Load().Namespace, pods: objects[*corev1.Pod](c.pods)}
	}
	c.writer.take(next)
	if len(failed) > 0 {
		return again, nil
	}
	return calm, nil
}

// translate is Translate of what is known now.
func (c *Controller) translate() (Outcome, Resources) {
	s := *c.settings.Load()
	s.Now = time.Now()
	r := Resources{
		Classes:        objects[*gatewayv1.GatewayClass](c.custom.objects[crdClasses]),
		Gateways:       objects[*gatewayv1.Gateway](c.custom.objects[crdGateways]),
		Routes:         objects[*UDPRoute](c.custom.objects[crdRoutes]),
		OwnRoutes:      objects[*UDPRoute](c.custom.objects[crdOwnRoutes]),
		Configs:        objects[*GatewayConfig](c.custom.objects[crdConfigs]),
		StaticServices: objects[*StaticService](c.custom.objects[crdStatics]),
		Grants:         objects[*gatewayv1.ReferenceGrant](c.custom.objects[crdGrants]),
		Namespaces:     objects[*corev1.Namespace](c.namespaces),
		Services:       objects[*corev1.Service](c.services),
		Slices:         objects[*discoveryv1.EndpointSlice](c.slices),
		Secrets:        c.secrets.list(),
		Unreadable:     c.secrets.unreadable(),
		Bundles:        c.custom.bundles(),
		NodeAddresses:  nodeAddresses(objects[*corev1.Pod](c.pods)),
		Unserved:       c.unserved,
		Refused:        c.writer.refusals(),
	}
	return Translate(r, s), r
}

// nodeAddresses are those of the nodes that gates run on, those first whose gate
// is ready.
func nodeAddresses(pods []*corev1.Pod) []string {
	var ready, rest []string
	for _, p := range pods {
		switch {
		case p.Status.HostIP == "":
		case podReady(p) && p.DeletionTimestamp == nil:
			ready = append(ready, p.Status.HostIP)
		default:
			rest = append(rest, p.Status.HostIP)
		}
	}
	slices.Sort(ready)
	slices.Sort(rest)
	var all []string
	for _, address := range slices.Concat(ready, rest) {
		if !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	return all
}
