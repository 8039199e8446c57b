package loadgen

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

const (
	dialPatience = 15 * time.Second
	dialsAtOnce  = 128
	perSource    = 10_000 // connections from one address of ours: there are 28,000 ports
	maxSources   = 200
)

// dialer connects pages, in turns to all coordinators. On this machine it comes
// from several addresses when one has too few ports.
type dialer struct {
	endpoints []discovery.Endpoint
	sources   int
	slots     chan struct{}
	buffers   sync.Pool // of gorilla, to write
}

func newDialer(endpoints []discovery.Endpoint, o Options) *dialer {
	return &dialer{
		endpoints: endpoints, slots: make(chan struct{}, dialsAtOnce),
		sources: min(maxSources, 1+(o.Browsers+o.Starts)/len(endpoints)/perSource),
	}
}

// dial connects the n-th page.
func (d *dialer) dial(ctx context.Context, n int) (*websocket.Conn, error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	to := d.endpoints[n%len(d.endpoints)]
	w := websocket.Dialer{
		ReadBufferSize: 1 << 10, WriteBufferSize: 4 << 10, WriteBufferPool: &d.buffers,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if to.Dial != "" {
				address = to.Dial
			}
			from := net.Dialer{LocalAddr: d.source(address, n/len(d.endpoints))}
			return from.DialContext(ctx, network, address)
		},
	}
	conn, answer, err := w.DialContext(ctx, to.URL+"/ws", http.Header{"Origin": {origin(to.URL)}})
	if answer != nil && err != nil {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	return conn, err
}

// origin is that of the pages of a coordinator: as browsers say it, without a path.
func origin(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return "http" + strings.TrimPrefix(scheme, "ws") + "://" + host
}

// source is the address that the n-th connection to an address comes from, nil
// for any.
func (d *dialer) source(address string, n int) net.Addr {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().Is4() || !to.Addr().IsLoopback() || d.sources == 1 {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%d.sources))}
}
