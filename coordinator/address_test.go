package coordinator

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestAddressOf(t *testing.T) {
	trusted, err := newProxies(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		remote    string
		forwarded []string
		want      string // "" = not counted
	}{
		{remote: "203.0.113.5:4711", want: "203.0.113.5/32"},
		{remote: "[::ffff:203.0.113.5]:4711", want: "203.0.113.5/32"},
		{remote: "[2001:db8:1:2:3:4:5:6]:1", want: "2001:db8:1:2::/64"},
		{remote: "127.0.0.1:1"},
		{remote: "[::1]:1"},
		{remote: "192.168.0.7:1", want: "192.168.0.7/32"},
		{remote: "10.0.0.1:1", forwarded: []string{"198.51.100.1, 203.0.113.9"}, want: "203.0.113.9/32"},
		{remote: "127.0.0.1:1", forwarded: []string{"198.51.100.1", "203.0.113.9"}, want: "203.0.113.9/32"},
		{remote: "10.0.0.1:1", forwarded: []string{"nonsense"}, want: "10.0.0.1/32"},
		{remote: "203.0.113.5:1", forwarded: []string{"198.51.100.1"}, want: "203.0.113.5/32"}, // a stranger's word
		{remote: "203.0.113.5:1", forwarded: []string{"127.0.0.1"}, want: "203.0.113.5/32"},
		{remote: "10.0.0.1:1", forwarded: []string{"127.0.0.1"}, want: "10.0.0.1/32"}, // nobody is this machine by hearsay
		{remote: "10.0.0.1:1", forwarded: []string{"::ffff:127.0.0.1"}, want: "10.0.0.1/32"},
		{remote: "@"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.remote
		r.Header["X-Forwarded-For"] = test.forwarded
		var got address
		trusted.only(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = addressOf(r) })).ServeHTTP(nil, r)
		text := ""
		if got != (address{}) {
			text = netip.Prefix(got).String()
		}
		if text != test.want {
			t.Errorf("%s by way of %q is %q, not %q", test.remote, test.forwarded, text, test.want)
		}
	}
}

func addr(ip string) address {
	return address(netip.PrefixFrom(netip.MustParseAddr(ip), 32))
}

func TestCrowdOfAddresses(t *testing.T) {
	c, a, b := newCrowd(always(2)), addr("203.0.113.1"), addr("203.0.113.2")
	for i, want := range []bool{true, true, false} {
		if c.enter(a) != want {
			t.Errorf("the answer to enter %d is not %v", i, want)
		}
	}
	if !c.enter(b) {
		t.Error("another address pays for it")
	}
	c.exit(a)
	if !c.enter(a) {
		t.Error("a place that was left is not free")
	}
	for range 9 {
		if !c.enter(address{}) {
			t.Error("this machine is counted")
		}
	}
	c.exit(a)
	c.exit(a)
	c.exit(b)
	c.exit(address{})
	if len(c.held) != 0 {
		t.Errorf("%d addresses are remembered for nothing", len(c.held))
	}
}

// startBurst is how many games an address may start at once by default.
const startBurst = 30

func TestBudgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, a := newBudgets(always(30)), addr("203.0.113.1")
		took := 0
		for b.take(a, 1, time.Now()) {
			took++
		}
		if took != startBurst {
			t.Errorf("%d starts at once", took)
		}
		if !b.take(addr("203.0.113.2"), 1, time.Now()) || !b.take(address{}, 1, time.Now()) {
			t.Error("others pay for it")
		}
		time.Sleep(2 * time.Second)
		if !b.take(a, 1, time.Now()) || b.take(a, 1, time.Now()) {
			t.Error("not one start after two seconds")
		}
		b.sweep(time.Now())
		if len(b.byAddress) != 2 {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Minute)
		b.sweep(time.Now())
		if len(b.byAddress) != 0 {
			t.Error("remembered for nothing")
		}
	})
}

// from is a header by which a test, which comes from loopback, is another address.
func from(ip string) http.Header { return http.Header{"X-Forwarded-For": {ip}} }

func TestStartsAreLimitedByAddress(t *testing.T) {
	d := start(t, nil)
	w := d.worker(nil)
	p := d.dial("/ws", from("203.0.113.1"))
	p.next(signal.TypeHello)
	game := signal.Start{Game: "pong", SDP: "v=0"}
	for range startBurst {
		p.say(signal.TypeStart, "s", "", game)
		w.opens()
		p.next(signal.TypeAnswer)
	}
	p.say(signal.TypeStart, "s", "", game)
	p.refused("s", signal.CodeFull)
	other := d.dial("/ws", from("203.0.113.2"))
	other.next(signal.TypeHello)
	other.say(signal.TypeStart, "s", "", game)
	w.opens()
	other.next(signal.TypeAnswer)
}

// One address cannot take the places of all the others.
func TestPagesAreLimitedByAddress(t *testing.T) {
	d := start(t, func(*Config) {})
	for range 256 {
		d.dial("/ws", from("203.0.113.1")).next(signal.TypeHello)
	}
	_, response, err := websocket.DefaultDialer.Dial(d.url("ws", "/ws"), from("203.0.113.1"))
	if err == nil {
		t.Fatal("one page too many")
	}
	response.Body.Close()
	if response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the answer is %d", response.StatusCode)
	}
	d.dial("/ws", from("203.0.113.2")).next(signal.TypeHello)
}

// Who cannot prove itself must not keep workers out, nor make us read much.
func TestStrangersAreLimited(t *testing.T) {
	d := start(t, nil)
	var strangers []*client
	for range maxStrangerEach {
		c := d.dial("/ws/worker", from("203.0.113.1"))
		c.next(signal.TypeChallenge)
		strangers = append(strangers, c)
	}
	next := d.dial("/ws/turn", from("203.0.113.1"))
	next.nothing()
	d.worker(nil) // from elsewhere
	strangers[0].close()
	next.next(signal.TypeChallenge)
}

// TestWorkerDies: a page that has lost its picture and whose worker stays away
// learns that there is nothing to wait for.
func TestWorkerDies(t *testing.T) {
	d := start(t, nil)
	w := d.worker(nil)
	p := d.page()
	session, _, _ := p.plays(w)
	w.close()
	until(t, "the worker is gone", func() bool { return d.registry.worker(w.id) == nil })
	p.say(signal.TypeOffer, "o", "", signal.Offer{SDP: "v=0"})
	p.refused("o", signal.CodeNoWorker) // it may come back
	d.sessions.mu.Lock()
	d.sessions.byID[session].away = time.Now().Add(-workerGrace)
	d.sessions.mu.Unlock()
	p.say(signal.TypeOffer, "o", "", signal.Offer{SDP: "v=0"})
	p.refused("o", signal.CodeNotFound)
}

func TestLinksThatLeadNowhere(t *testing.T) {
	d := start(t, nil)
	const index = "<!doctype html><title>page</title>"
	for _, test := range []struct {
		path, accept string
		page         bool
	}{
		{"/play/NOPE", "", true},
		{"/play/a/b", "", true},
		{"/room/x", "", true},
		{"/room/%2e%2e%2f%2e%2e%2fx", "", true},
		{"/nothing", "text/html,*/*", true},
		{"/nothing", "*/*", false},
		{"/app/nothing.js", "*/*", false},
		{"/api/nothing", "application/json", false},
	} {
		r := d.get("GET", test.path, "Accept: "+test.accept+"\r\n")
		if got := body(t, r); r.StatusCode != http.StatusNotFound || (got == index) != test.page {
			t.Errorf("%s (%s): %d %q", test.path, test.accept, r.StatusCode, got)
		}
	}
	if r := d.get("HEAD", "/room/x", ""); r.StatusCode != http.StatusNotFound {
		t.Errorf("HEAD: %d", r.StatusCode)
	}
}
