package coordinator

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// ids are those of links, sorted.
func ids(links []*workerLink) []string {
	list := []string{}
	for _, w := range links {
		list = append(list, w.id)
	}
	slices.Sort(list)
	return list
}

func TestCandidates(t *testing.T) {
	r := newRegistry()
	code := func(game, zone string) signal.Code {
		t.Helper()
		_, err := r.candidates(game, zone, nil)
		if err == nil {
			return ""
		}
		return signal.AsError(err).Code
	}
	if got := code("pong", ""); got != signal.CodeNoWorker {
		t.Errorf("without workers: %q", got)
	}
	in := func(zone, state string) func(*signal.Register) {
		return func(reg *signal.Register) { reg.Zone, reg.Load.State = zone, state }
	}
	far := link("far", loose(), in("us", signal.StateReady))
	r.enroll(far, games("pong"))
	r.enroll(link("near", loose(), in("eu", signal.StateReady)), games("pong", "golf"))
	r.enroll(link("other", loose(), in("eu", signal.StateReady)), games("golf"))
	r.enroll(link("drains", loose(), in("eu", signal.StateDraining)), games("pong", "chess"))
	r.enroll(link("late", loose(), in("eu", signal.StateOverloaded)), games("pong", "chess"))
	silent := link("silent", loose(), in("eu", signal.StateReady))
	silent.sock.heard.Store(time.Now().Add(-patient).UnixNano())
	r.enroll(silent, games("pong"))

	order, err := r.candidates("pong", "", map[string]int{"us": 200, "eu": 20})
	if err != nil || len(order) != 2 || order[0].id != "near" || order[1] != far {
		t.Errorf("near and far: %v, %v", ids(order), err)
	}
	if order, err = r.candidates("pong", "us", map[string]int{"us": 200, "eu": 20}); err != nil || len(order) != 1 || order[0] != far {
		t.Errorf("in the zone that is wished: %v, %v", ids(order), err)
	}
	if order, err = r.candidates("golf", "", nil); err != nil || !slices.Equal(ids(order), []string{"near", "other"}) {
		t.Errorf("of two libraries: %v, %v", ids(order), err)
	}
	// Those that have it take nobody just now: no error, the player waits.
	if order, err = r.candidates("chess", "", nil); err != nil || len(order) != 0 {
		t.Errorf("nobody can be asked: %v, %v", ids(order), err)
	}
	for _, test := range []struct {
		game, zone string
		want       signal.Code
	}{{"nothing", "", signal.CodeNotFound}, {"nothing", "eu", signal.CodeNotFound}, {"pong", "asia", signal.CodeNoWorker}, {"golf", "us", signal.CodeNoWorker}} {
		if got := code(test.game, test.zone); got != test.want {
			t.Errorf("%s in %q: %q, want %q", test.game, test.zone, got, test.want)
		}
	}
}

func TestRoomsAreIndexed(t *testing.T) {
	r := newRegistry()
	a, b := signal.NewID(), signal.NewID()
	room := func(id string) signal.Room {
		return signal.Room{ID: id, Game: "pong", Players: 1, Viewers: 2, Seats: 4, Closed: true}
	}
	w := link("w", loose(), nil)
	r.enroll(w, games("pong"), room(a))
	at := func(id string) *workerLink {
		w, _ := r.forRoom(id)
		return w
	}
	if at(a) != w || at(b) != nil {
		t.Error("the rooms of a Register")
	}
	_ = r.addRoom(w, b)
	if view := r.roomsView(); at(b) != w || len(view) != 1 {
		t.Errorf("a room that was just opened is entered, and listed when it is announced: %+v", view)
	}
	if _, ok := r.room(b); ok {
		t.Error("nothing is known of it")
	}
	_ = r.setRooms(w, []signal.Room{room(b)})
	want := roomView{ID: b, Game: "pong", Title: "Game pong", System: "nes", Worker: "w", Players: 1, Viewers: 2, Seats: 4, Closed: true}
	if view, ok := r.room(b); at(a) != nil || at(b) != w || !ok || view != want || !slices.Equal(r.roomsView(), []roomView{want}) {
		t.Errorf("%+v", view)
	}
	// The worker connects again before its old link is missed.
	again := link("w", loose(), nil)
	if old := r.addWorker(again, signal.LibraryDigest(games("pong")), []signal.Room{room(a)}); old != w {
		t.Error("the old link is not told")
	}
	if at(a) != again || at(b) != nil {
		t.Error("the rooms of the new link")
	}
	// What the old one still says counts for nothing.
	_ = r.setRooms(w, []signal.Room{room(b)})
	_ = r.addRoom(w, b)
	if _, err := (&Coordinator{registry: r}).libraryFromWorker(w, full(games("golf"))); err != nil || r.knows("nobody") {
		t.Error(err)
	}
	if r.removeWorker(w) || at(a) != again || at(b) != nil || r.worker("w") != again {
		t.Error("the old link takes something with it")
	}
	if _, err := r.candidates("golf", "", nil); signal.AsError(err).Code != signal.CodeNotFound {
		t.Errorf("a library of a link that is replaced: %v", err)
	}
	if !r.removeWorker(again) || at(a) != nil || len(r.roomsView()) != 0 {
		t.Error("a worker that is gone leaves rooms")
	}
}

func TestWorkerIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		_, one := r.workerOrWait("w")
		_, two := r.workerOrWait("w")
		_, other := r.workerOrWait("other")
		w := link("w", loose(), nil)
		r.enroll(w, nil)
		<-one
		<-two
		select {
		case <-other:
			t.Error("another worker came")
		default:
		}
		if got, _ := r.workerOrWait("w"); got != w {
			t.Error("it is there")
		}
		time.Sleep(awaitedFor + 1)
		r.sweep(time.Now())
		if len(r.awaited) != 0 {
			t.Error("who is awaited in vain is not forgotten")
		}
	})
}

func TestZones(t *testing.T) {
	c := shelf()
	in := func(zone, probe string) func(*signal.Register) {
		return func(reg *signal.Register) { reg.Zone, reg.Probe = zone, probe }
	}
	var all []*workerLink
	for i, reg := range []func(*signal.Register){
		in("eu", "https://b.example.org/echo"), in("eu", "https://a.example.org:9000/echo"), in("eu", ""),
		in("us", ""), in("asia", "http://[::1]:9000/echo"), in("", "http://nowhere.example.org/echo"),
	} {
		w := link(fmt.Sprint(i), loose(), reg)
		all = append(all, w)
		c.registry.enroll(w, nil)
	}
	want := []zoneView{
		{"asia", "http://[::1]:9000/echo", 1}, {"eu", "https://a.example.org:9000/echo", 3}, {"us", "", 1},
	}
	if got := c.registry.zones(); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got := c.probeOrigins(); !slices.Equal(got, []string{"http://[::1]:9000", "https://a.example.org:9000"}) {
		t.Errorf("%q", got)
	}
	if one, two := c.registry.zoneList(), c.registry.zoneList(); one != two {
		t.Error("made anew although nothing changed")
	}
	for _, w := range []*workerLink{all[1], all[4]} {
		c.registry.removeWorker(w)
	}
	if got := c.registry.zones(); !slices.Equal(got, []zoneView{{"eu", "https://b.example.org/echo", 2}, {"us", "", 1}}) {
		t.Errorf("%+v", got)
	}
	// One worker does not say for all others of a zone where it is measured.
	for i, probe := range []string{"https://a.evil.example/echo", "https://b.example.org/echo"} {
		c.registry.enroll(link(fmt.Sprint("eu", i), loose(), in("eu", probe)), nil)
	}
	if got := c.registry.zones(); got[0].Probe != "https://b.example.org/echo" || got[0].Workers != 4 {
		t.Errorf("%+v", got)
	}
	for i := range 2 * signal.MaxZones {
		c.registry.enroll(link(fmt.Sprintf("z%d", i), loose(), in(fmt.Sprintf("z%d", i), "")), nil)
	}
	if got := c.registry.zones(); len(got) != signal.MaxZones {
		t.Errorf("%d zones", len(got))
	}
}

// The list is made once for any number of changes and readers, and is never
// older than the pause.
func TestGamesAreListedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		listed := func() (ids []string) {
			var list []signal.Game
			if err := json.Unmarshal(r.games.Load().body, &list); err != nil {
				t.Fatal(err)
			}
			for _, g := range list {
				ids = append(ids, g.ID)
			}
			return ids
		}
		if got := string(r.games.Load().body); got != "[]" {
			t.Errorf("without workers: %s", got)
		}
		first := link("0", loose(), nil)
		r.enroll(first, games("a"))
		if got := listed(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("the first change is seen at once: %v", got)
		}
		for i := range 100 {
			r.enroll(link(fmt.Sprint(i+1), loose(), nil), games("a", fmt.Sprintf("g%02d", i%20)))
		}
		made := r.games.Load()
		if got := listed(); len(got) != 1 {
			t.Errorf("made again within the pause: %v", got)
		}
		time.Sleep(gamesPause)
		if got := listed(); len(got) != 21 || got[0] != "a" || got[20] != "g19" {
			t.Errorf("%v", got)
		}
		if r.games.Load() == made {
			t.Error("the old list")
		}
		made = r.games.Load()
		time.Sleep(gamesPause)
		r.enroll(link("more", loose(), nil), games("a", "g07"))
		if r.games.Load() != made {
			t.Error("made although no library came or went")
		}
		r.removeWorker(first)
		if got := listed(); len(got) != 21 {
			t.Errorf("others have it still: %v", got)
		}
	})
}

// Of two libraries that name one game differently all coordinators list the same.
func TestGamesOfDifferentLibraries(t *testing.T) {
	lists := [][]signal.Game{{{ID: "a", Title: "One", System: "nes"}}, {{ID: "a", Title: "Two", System: "nes"}}}
	var bodies []string
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		r := newRegistry()
		for _, i := range order {
			r.enroll(link(fmt.Sprint(i, order), loose(), nil), lists[i])
		}
		bodies = append(bodies, string(r.games.Load().body))
	}
	if bodies[0] != bodies[1] {
		t.Errorf("%s and %s", bodies[0], bodies[1])
	}
}

func TestViews(t *testing.T) {
	r := newRegistry()
	busy := link("b", loose(), func(reg *signal.Register) {
		reg.Name, reg.Zone, reg.Probe = "z-last", "eu", "http://a/echo"
		reg.Load = signal.Load{State: signal.StateOverloaded, Places: 8, Free: 2, Sessions: 12, Late: 70}
	})
	r.enroll(busy, games("a", "b"), signal.Room{ID: signal.NewID(), Game: "a", Players: 2, Viewers: 3}, signal.Room{ID: signal.NewID(), Game: "gone", Players: 1})
	silent := link("s", loose(), func(reg *signal.Register) { reg.Name = "first" })
	silent.sock.heard.Store(0)
	r.addWorker(silent, signal.LibraryDigest(games("zzz")), nil)
	r.gates[&gateLink{}] = struct{}{}
	r.countLate()

	views := r.workersView()
	if len(views) != 2 || views[0].ID != "s" || !views[0].Silent || views[0].Games != 0 {
		t.Fatalf("%+v", views)
	}
	view := views[1]
	if view.Since.IsZero() {
		t.Error("since never")
	}
	view.Since = time.Time{}
	want := workerView{ID: "b", Name: "z-last", Zone: "eu", Probe: "http://a/echo", Load: busy.load, Rooms: 2, Games: 2}
	if view != want {
		t.Errorf("%+v, want %+v", view, want)
	}
	if rooms := r.roomsView(); len(rooms) != 2 || rooms[0].Title != "Game a" || rooms[1].Title != "gone" || rooms[1].System != "" {
		t.Errorf("%+v", rooms)
	}
	got := r.totals()
	if got.Workers[signal.StateOverloaded] != 1 || got.Workers[stateSilent] != 1 || got.Workers[signal.StateReady] != 0 || len(got.Workers) != 4 {
		t.Errorf("%+v", got.Workers)
	}
	got.Workers = nil
	if want := (totals{
		Gates: 1, Rooms: 2, Players: 3, Viewers: 3, Sessions: 12, Places: 12, Free: 6, Libraries: 1, LibrariesWanted: 1, LateAnswers: 1,
	}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A thousand workers come and go at a gate: it hears of the last state, in a few
// messages.
func TestPeersAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		g := &gateLink{sock: &socket{room: 1 << 20, done: make(chan struct{})}, changed: make(chan struct{}, 1)}
		r.addGate(g)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			g.tellPeers(r.peers)
		}()
		for i := range 1000 {
			r.enroll(link(fmt.Sprint(i), loose(), func(reg *signal.Register) {
				reg.MediaAddrs = []string{fmt.Sprintf("10.0.%d.%d:8443", i/250, i%250)}
			}), nil)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		g.sock.mu.Lock()
		queue := g.sock.queue
		g.sock.mu.Unlock()
		if n := len(queue); n > int(time.Second/peersPause)+2 {
			t.Errorf("%d messages", n)
		}
		e, err := signal.Decode(queue[len(queue)-1], signal.MaxInternal)
		if err != nil {
			t.Fatal(err)
		}
		if peers := read[signal.Peers](t, e).Addrs; len(peers) != 1000 || !slices.IsSorted(peers) {
			t.Errorf("%d peers", len(peers))
		}
		r.enroll(link("same", loose(), func(reg *signal.Register) { reg.MediaAddrs = []string{"10.0.0.1:8443"} }), nil)
		time.Sleep(time.Second)
		g.sock.mu.Lock()
		if len(g.sock.queue) != len(queue) {
			t.Error("told again although nothing changed")
		}
		g.sock.mu.Unlock()
		g.sock.cut(1000, "")
		<-ended
	})
}
