// Package cluster is what the roles need of the Kubernetes that they run in: a
// client of its API server, the Secrets that they share, and who of many leads.
package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/connrotation"
)

// Config says which cluster.
type Config struct {
	// Kubeconfig is a file, "" = the service account of the pod. Files with a client's
	// certificate that it names are read once; those with a token or an authority's
	// certificate are followed.
	Kubeconfig string
	// Namespace of the installation, "" = that of the pod, or of Kubeconfig.
	Namespace string
	// Identity of this process among its like, "" = the host's name, which is the
	// pod's.
	Identity string
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

// Cluster is an installation in a cluster, as this process sees it. Its fields
// are not changed after Connect; it may be used concurrently.
type Cluster struct {
	REST      *rest.Config
	HTTP      *http.Client // what clients of further groups are to use as well
	API       *API
	Namespace string
	Identity  string
	Logger    *slog.Logger
	// Service is the address of the API server's Service, which every pod is told
	// (KUBERNETES_SERVICE_HOST); the zero one in no pod, or if that is a name.
	Service netip.Addr

	connections *connrotation.ConnectionTracker // nil unless Connect made it
}

// dialPatience bounds how long a connection may take, as in client-go.
const dialPatience = 30 * time.Second

// namespaceFile is where a pod finds its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// ErrNoCluster says that there is neither a service account nor a kubeconfig.
var ErrNoCluster = errors.New("this is no pod with a service account, and kubernetes.kubeconfig names no file")

// Connect makes the client. It asks the API server for nothing: that may be away.
func Connect(cfg Config) (*Cluster, error) {
	c := &Cluster{Namespace: cfg.Namespace, Identity: cfg.Identity, Logger: cfg.Logger}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Identity == "" {
		c.Identity, _ = os.Hostname()
	}
	if err := c.connect(cfg.Kubeconfig); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c.REST.UserAgent, c.REST.QPS, c.REST.Burst = "cloudretro", requestsPerSecond, requestsAtOnce
	c.connections = connrotation.NewConnectionTracker()
	dialer := net.Dialer{Timeout: dialPatience, KeepAlive: dialPatience}
	c.REST.Dial = connrotation.NewDialerWithTracker(dialer.DialContext, c.connections).DialContext
	var err error
	if c.HTTP, err = rest.HTTPClientFor(c.REST); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if c.API, err = NewAPI(c.REST, c.HTTP); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return c, nil
}

// Close ends all connections to the API server, also those that a watch which has
// just ended still holds. It may be called more than once.
func (c *Cluster) Close() error {
	utilnet.CloseIdleConnectionsFor(c.HTTP.Transport) // the client's own method does not see through wrappers
	if c.connections != nil {
		c.connections.CloseAll()
	}
	return nil
}

// connect reads where the API server is, and the namespace.
func (c *Cluster) connect(kubeconfig string) error {
	if kubeconfig == "" {
		cfg, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return ErrNoCluster
		}
		if err != nil {
			return fmt.Errorf("service account: %w", err)
		}
		c.REST = cfg
		c.Service = addressOf(cfg.Host)
		if c.Namespace == "" {
			data, err := os.ReadFile(namespaceFile)
			if err != nil {
				return fmt.Errorf("namespace of the pod: %w", err)
			}
			c.Namespace = strings.TrimSpace(string(data))
		}
		return nil
	}
	load := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}, &clientcmd.ConfigOverrides{})
	cfg, err := load.ClientConfig()
	if err == nil {
		err = readCertificate(cfg)
	}
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	c.REST = cfg
	if c.Namespace == "" {
		if c.Namespace, _, err = load.Namespace(); err != nil {
			return fmt.Errorf("kubeconfig: %w", err)
		}
	}
	return nil
}

// addressOf is the address in the URL of a host, the zero one if it has a name.
func addressOf(host string) netip.Addr {
	u, err := url.Parse(host)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(u.Hostname()) // as said
	return addr.Unmap().WithZone("")
}

// readCertificate reads the files with a client's certificate and its key. client-go
// would look at them every now and then, by a goroutine that nothing ends.
func readCertificate(cfg *rest.Config) error {
	authority := cfg.CAFile
	cfg.CAFile = "" // which client-go looks at when it asks for something
	err := rest.LoadTLSFiles(cfg)
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = authority, "", ""
	if err != nil {
		return fmt.Errorf("certificate of the client: %w", err)
	}
	return nil
}
