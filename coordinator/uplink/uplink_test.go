package uplink

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestJoinsAll(t *testing.T) {
	one, two, three := newCoordinator(t, nil), newCoordinator(t, nil), newCoordinator(t, nil)
	r := newRole()
	var wanted sync.Map
	r.Joined = func(l *Link, a signal.Accepted) {
		wanted.Store(l.Coordinator(), a.Library)
		if !l.Send(signal.TypeLoad, "", "", signal.Load{State: signal.StateReady}) {
			t.Error("a link that has joined takes nothing")
		}
	}
	r.run(t, at(one.endpoint(), two.endpoint()), at(two.endpoint(), three.endpoint()))
	until(t, "joining", func() bool { return r.links() == 3 })
	for _, c := range []*coordinator{one, two, three} {
		until(t, "the message", func() bool { return len(c.messages(signal.TypeLoad)) == 1 })
		if library, ok := wanted.Load(c.id); !ok || library != true {
			t.Error("what Accepted said is lost")
		}
		if c.tried() != 1 || c.hosts[0] != c.address+"/ws/worker" {
			t.Errorf("asked for %q", c.hosts)
		}
	}
	if l := r.keeper.Links()[0]; l.Endpoint().URL == "" {
		t.Error("the link does not know where it leads")
	}
}

func TestMessages(t *testing.T) {
	c := newCoordinator(t, nil)
	r := newRole().run(t, at(c.endpoint()))
	r.link(t)
	c.tell(signal.TypeWant, "", "", nil)
	c.tell(signal.TypeReserve, "7", "s", signal.Reserve{Ticket: "t", Game: "pong"}) // refused by the role
	c.tellRaw(websocket.TextMessage, []byte(`{"v":1,"type":"dance","id":"8"}`))
	c.tellRaw(websocket.TextMessage, []byte(`rubbish`))
	c.tellRaw(websocket.TextMessage, []byte(`{"v":1,"type":"error","session":"../x"}`)) // must not be answered
	c.tellRaw(websocket.BinaryMessage, []byte{0})
	c.tell(signal.TypeList, "9", "", nil)
	until(t, "the last message", func() bool { return len(r.got()) == 3 })
	if got, want := r.got(), []signal.Type{signal.TypeWant, signal.TypeReserve, signal.TypeList}; !slices.Equal(got, want) {
		t.Errorf("heard %v, want %v", got, want)
	}
	until(t, "the answers", func() bool { return len(c.messages(signal.TypeError)) == 4 })
	errs := c.messages(signal.TypeError)
	for i, want := range []struct {
		id, session string
		code        signal.Code
	}{{"7", "s", signal.CodeFull}, {"8", "", signal.CodeBadRequest}, {"", "", signal.CodeBadRequest}, {"", "", signal.CodeBadRequest}} {
		said, err := signal.Read[signal.Error](errs[i])
		if err != nil || errs[i].ID != want.id || errs[i].Session != want.session || said.Code != want.code {
			t.Errorf("answer %d is %+v %+v, want %+v", i, errs[i], said, want)
		}
	}
}

// A coordinator that is killed and started again is joined within the second,
// and introduced to anew.
func TestReturns(t *testing.T) {
	c := newCoordinator(t, nil)
	r := newRole().runWith(t, lenient(), at(c.endpoint()))
	old := r.link(t)
	c.kill()
	until(t, "the end", func() bool { return len(r.saw()) == 2 })
	if old.Send(signal.TypeLoad, "", "", nil) || r.links() != 0 {
		t.Error("a link that is over takes messages")
	}
	first := c.id
	c.set(func() { c.id = signal.NewID() })
	c.start(t)
	begin := time.Now()
	link := r.link(t)
	t.Logf("joined %v after the start", time.Since(begin))
	if link == old || link.Coordinator() != c.id {
		t.Error("it is the old link")
	}
	if want := []string{"joined " + first, "left " + first, "joined " + c.id}; !slices.Equal(r.saw(), want) {
		t.Errorf("saw %v, want %v", r.saw(), want)
	}
	if c.nonces[0] == c.nonces[1] || len(r.tried()) != 2 {
		t.Error("the introduction is not made anew")
	}
}

func TestDuplicates(t *testing.T) {
	c := newCoordinator(t, nil)
	other := c.listen(t, "127.0.0.1:0")
	two := discovery.Endpoint{URL: "ws://localhost:8000", Dial: other}
	r := newRole().run(t, at(c.endpoint(), two))
	until(t, "both to be tried", func() bool { return c.tried() >= 2 })
	until(t, "joining", func() bool { return r.links() == 1 })
	until(t, "the other to be tried again", func() bool { return c.tried() >= 4 }) // somebody else may be there by now
	if n := r.links(); n != 1 || len(r.saw()) != 1 || len(r.tried()) != 1 {
		t.Errorf("%d links, %v, introduced %d times", n, r.saw(), len(r.tried()))
	}
	if n := r.log.count("not connected"); n != 0 {
		t.Errorf("a duplicate is logged %d times:\n%s", n, r.log)
	}
	// The link's way is lost: the other takes over.
	c.set(func() {
		for conn := range c.conns {
			_ = conn.UnderlyingConn().Close()
		}
	})
	until(t, "joining again", func() bool { return len(r.saw()) == 3 && r.links() == 1 })
	r.stop()
	if n := len(r.keeper.claims); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

// The other address takes over as soon as the link is over, not when it is
// looked at the next time.
func TestDuplicateTakesOver(t *testing.T) {
	c := newCoordinator(t, nil)
	other := newCoordinator(t, func(o *coordinator) { o.id = c.id })
	times := quick()
	times.again = time.Hour
	r := newRole().runWith(t, times, at(c.endpoint(), other.endpoint()))
	until(t, "both to be tried", func() bool { return c.tried()+other.tried() >= 2 })
	for _, end := range []*coordinator{c, other} {
		if "ws://"+end.address == r.link(t).Endpoint().URL {
			end.kill()
			break
		}
	}
	until(t, "joining the other", func() bool { return len(r.saw()) == 3 && r.links() == 1 })
}

// An endpoint that is not named any more is kept while it is joined.
func TestVanished(t *testing.T) {
	one, two := newCoordinator(t, nil), newCoordinator(t, nil)
	set := at(one.endpoint(), discovery.Endpoint{URL: "ws://127.0.0.1:1"})
	r := newRole().run(t, set)
	l := r.link(t)
	set <- []discovery.Endpoint{two.endpoint()}
	until(t, "the other", func() bool { return r.links() == 2 })
	seekers := func() int {
		r.keeper.mu.Lock()
		defer r.keeper.mu.Unlock()
		return len(r.keeper.seekers)
	}
	until(t, "the end of who found nobody", func() bool { return seekers() == 2 })
	if !l.Send(signal.TypeWant, "", "", nil) {
		t.Error("a link ended because its endpoint is not named")
	}
	until(t, "the message", func() bool { return len(one.messages(signal.TypeWant)) == 1 })
	tried := one.tried()
	one.kill()
	until(t, "its end", func() bool { return seekers() == 1 && r.links() == 1 })
	one.start(t)
	set <- []discovery.Endpoint{two.endpoint(), one.endpoint()}
	until(t, "its return", func() bool { return r.links() == 2 })
	if n := one.tried(); n != tried+1 {
		t.Errorf("it was tried %d times", n-tried)
	}
	set <- nil
	set <- []discovery.Endpoint{two.endpoint(), one.endpoint()} // both are still joined
	set <- []discovery.Endpoint{two.endpoint(), one.endpoint()}
	if r.links() != 2 || seekers() != 2 {
		t.Error("endpoints that came back are joined twice")
	}
}

// The URL's host is what the coordinator hears, wherever it is.
func TestDialsElsewhere(t *testing.T) {
	c := newCoordinator(t, nil)
	r := newRole().run(t, at(discovery.Endpoint{URL: "ws://play.example.org:8000/base", Dial: c.address}))
	r.link(t)
	if c.hosts[0] != "play.example.org:8000/base/ws/worker" {
		t.Errorf("asked for %s", c.hosts[0])
	}
}

// A coordinator that starts is joined by all workers within about a second, and
// not by all at once.
func TestCrowd(t *testing.T) {
	const workers = 100
	c := newCoordinator(t, nil)
	c.kill()
	var roles []*role
	for range workers {
		roles = append(roles, newRole().runWith(t, lenient(), at(c.endpoint())))
	}
	for _, r := range roles {
		until(t, "the first attempt", func() bool { return r.log.count("refused") == 1 })
	}
	c.start(t)
	begin := time.Now()
	for _, r := range roles {
		r.link(t)
	}
	t.Logf("%d workers are there after %v", workers, time.Since(begin))
	for _, r := range roles {
		r.stop()
	}
}
