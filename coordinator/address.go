package coordinator

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// address is who a client is counted as: its IPv4 address or its IPv6 network
// of 64 bits, as one customer has at least that many. The zero value is a
// process of this machine, which is not counted.
type address netip.Prefix

// addressOf is where a request comes from. Behind a proxy of our own that is what
// the proxy says last; the word of others has been taken away (see proxies). Who
// is said to be this machine is counted as the proxy.
func addressOf(r *http.Request) address {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return address{}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return address{}
	}
	ip = ip.Unmap().WithZone("")
	if list := r.Header.Values("X-Forwarded-For"); len(list) > 0 {
		last := list[len(list)-1]
		last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		if said, err := netip.ParseAddr(last); err == nil && !said.Unmap().IsLoopback() {
			ip = said.Unmap().WithZone("")
		}
	}
	if ip.IsLoopback() {
		return address{}
	}
	return networkOf(ip)
}

// crowd counts what each address holds, up to a limit. Its methods may be
// called concurrently.
type crowd struct {
	limit bound
	mu    sync.Mutex
	held  map[address]int
}

func newCrowd(limit bound) *crowd { return &crowd{limit: limit, held: map[address]int{}} }

// enter counts one more in, unless there are too many.
func (c *crowd) enter(a address) bool {
	if a == (address{}) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[a] >= c.limit() {
		return false
	}
	c.held[a]++
	return true
}

// exit undoes an enter.
func (c *crowd) exit(a address) {
	if a == (address{}) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[a]--; c.held[a] <= 0 {
		delete(c.held, a)
	}
}
