package coordinator

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// address is who a client is counted as: its IPv4 address or its IPv6 network
// of 64 bits, as one customer has at least that many. The zero value is a
// process of this machine, which is not counted.
type address netip.Prefix

// addressOf is where a request comes from. Behind a proxy of our own, which has
// a private address, that is what the proxy says last; a stranger's word is not
// taken, as it reaches us from a public one.
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
	if list := r.Header.Values("X-Forwarded-For"); len(list) > 0 && (ip.IsPrivate() || ip.IsLoopback()) {
		last := list[len(list)-1]
		last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		if said, err := netip.ParseAddr(last); err == nil {
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
	limit int
	mu    sync.Mutex
	held  map[address]int
}

func newCrowd(limit int) *crowd { return &crowd{limit: limit, held: map[address]int{}} }

// enter counts one more in, unless there are too many.
func (c *crowd) enter(a address) bool {
	if a == (address{}) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[a] >= c.limit {
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

// strangers are the sockets of roles that have not proved who they are. Each may
// send one large message, so there are few of them at once.
type strangers struct {
	slots chan struct{}
	crowd *crowd
}

func newStrangers(limit, perAddress int) strangers {
	return strangers{make(chan struct{}, limit), newCrowd(perAddress)}
}

// enter counts one more in, until the func is called; false if there are too many.
func (s strangers) enter(a address) (exit func(), ok bool) {
	if !s.crowd.enter(a) {
		return nil, false
	}
	select {
	case s.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-s.slots; s.crowd.exit(a) }), true
	default:
		s.crowd.exit(a)
		return nil, false
	}
}

// Bounds of what an address may ask of the workers. A school behind one address
// can start at once; a loop cannot keep the workers busy with opening rooms.
const (
	startRate  = 0.5 // starts a second, in the long run
	startBurst = 30  // starts at once
	joinCost   = 0.2 // of a start, that a join counts as
)

// budgets is a token bucket for each address. Its methods may be called concurrently.
type budgets struct {
	mu        sync.Mutex
	byAddress map[address]*bucket
}

func newBudgets() *budgets { return &budgets{byAddress: map[address]*bucket{}} }

// take takes cost starts from the budget of an address, or answers false.
func (b *budgets) take(a address, cost float64, now time.Time) bool {
	if a == (address{}) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byAddress[a] == nil {
		b.byAddress[a] = newBucket(startRate, startBurst, now)
	}
	return b.byAddress[a].take(cost, now)
}

// sweep forgets who has not asked for so long that the budget is whole again.
func (b *budgets) sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for a, one := range b.byAddress {
		if now.Sub(one.last).Seconds()*startRate >= startBurst {
			delete(b.byAddress, a)
		}
	}
}
