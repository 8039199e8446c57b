package coordinator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// mute joins a worker that neither says nor answers anything afterwards, as if
// its network were down.
func (d *door) mute(change func(*signal.Register)) (id string) {
	d.t.Helper()
	conn, response, err := d.dialer.Dial(d.url("ws", "/ws/worker"), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	response.Body.Close()
	d.t.Cleanup(func() { conn.Close() })
	_, data, err := conn.ReadMessage()
	if err != nil {
		d.t.Fatal(err)
	}
	e, err := signal.Decode(data, signal.MaxInternal)
	if err != nil {
		d.t.Fatal(err)
	}
	nonce := read[signal.Challenge](d.t, e).Nonce
	r := signal.Register{
		ID: signal.NewID(), Name: "mute", Library: signal.LibraryDigest(games("pong")), Load: signal.Load{State: signal.StateReady, Places: 1, Free: 1},
	}
	change(&r)
	r.MAC = signal.MAC(secret, nonce, signal.RoleWorker, r.ID)
	if data, err = signal.Encode(signal.TypeRegister, "", "", r); err == nil {
		err = conn.WriteMessage(websocket.TextMessage, data)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return r.ID
}

// Roles are missed within 10 s.
func TestRolePace(t *testing.T) {
	if p := newRoles(always(1)).pace; p.patience > 9*time.Second || p.patience < 2*p.ping || silentAfter >= p.patience {
		t.Errorf("%+v", p)
	}
}

// A worker whose network is down is gone from all lists, and one that answers
// pings is not.
func TestSilentWorkerIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startPiped(t)
		alive := d.worker(nil)
		room := signal.NewID()
		id := d.mute(func(r *signal.Register) { r.Rooms = []signal.Room{{ID: room, Game: "pong"}} })
		begin := time.Now()
		until(t, "the room", func() bool { _, err := d.registry.forRoom(room); return err == nil })
		until(t, "the loss of the room", func() bool { _, err := d.registry.forRoom(room); return err != nil })
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("missed after %v", took)
		}
		if d.registry.worker(id) != nil || len(d.registry.workersView()) != 1 {
			t.Error("the worker is listed")
		}
		time.Sleep(time.Minute)
		if d.registry.worker(alive.id) == nil {
			t.Error("the other one is gone too")
		}
	})
}

// A worker that connects again before its old connection is missed.
func TestWorkerIsReplaced(t *testing.T) {
	d := start(t, nil)
	room := signal.NewID()
	rooms := func(r *signal.Register) { r.Rooms = []signal.Room{{ID: room, Game: "pong"}} }
	one := d.worker(rooms)
	two := d.worker(func(r *signal.Register) {
		r.ID = one.id
		rooms(r)
	})
	if code := one.ends(); code != closeReplaced {
		t.Errorf("the old connection ends with %d", code)
	}
	if _, err := d.registry.forRoom(room); err != nil || len(d.registry.workersView()) != 1 {
		t.Error(err)
	}
	two.close()
	until(t, "the loss of the worker", func() bool { return len(d.registry.workersView()) == 0 && len(d.registry.roomsView()) == 0 })
}

// Workers that join, are replaced, announce and leave at the same time: in the
// end the registry knows what is there.
func TestWorkersRace(t *testing.T) {
	d := start(t, func(c *Config) { c.Logger = nil })
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			for round := range 10 {
				w := d.register(secret, func(r *signal.Register) {
					r.ID = fmt.Sprintf("w%d", i%4)
					r.Rooms = []signal.Room{{ID: signal.NewID(), Game: "pong"}}
				})
				for range rand.IntN(5) {
					data := encode(signal.TypeLoad, "", "", signal.Load{State: signal.StateReady, Places: 4, Free: rand.IntN(5)})
					_ = w.conn.WriteMessage(websocket.TextMessage, data) // it may be replaced by now
					_ = w.conn.WriteMessage(websocket.TextMessage, encode(signal.TypeRooms, "", "", signal.Rooms{}))
					_ = w.conn.WriteMessage(websocket.TextMessage, encode(signal.TypeLibrary, "", "", full(games("pong", "golf"))))
				}
				d.registry.roomsView()
				d.registry.totals()
				if round < 9 || i >= 4 {
					w.close()
				}
			}
		})
	}
	group.Wait()
	last := d.workerWith(games("chess"), nil) // nobody owes us this one
	until(t, "order", func() bool {
		r := d.registry
		r.mu.Lock()
		defer r.mu.Unlock()
		users := 0
		for _, lib := range r.libraries.known {
			users += usersInPlace(t, r, lib)
		}
		waiting := 0
		for _, one := range r.libraries.wanted {
			waiting += len(one.waiting)
		}
		rooms := 0
		for _, w := range r.workers {
			rooms += len(w.rooms)
		}
		return r.workers[last.id] != nil && rooms == len(r.rooms) && users+waiting >= len(r.workers)
	})
}

// usersInPlace counts the users of a library; each must know where it is.
func usersInPlace(t *testing.T, r *registry, lib *library) (n int) {
	for zone, users := range lib.users {
		n += len(users)
		for at, w := range users {
			if w.place != at || w.zone != zone || w.library != lib || r.workers[w.id] != w {
				t.Errorf("%s is at another place", w.id)
			}
		}
	}
	return n
}

// A worker that says too much is cut, and may come again.
func TestRolesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a slow machine says no more than is allowed
		d := startPiped(t)
		w := d.worker(nil)
		data := encode(signal.TypeRooms, "", "", signal.Rooms{})
		sent := 0
		for sent < 3*roleBurst && w.conn.WriteMessage(websocket.TextMessage, data) == nil {
			sent++
		}
		if w.ends(); sent < roleBurst || sent > 2*roleBurst {
			t.Errorf("cut after %d messages", sent)
		}
		until(t, "the loss of the worker", func() bool { return d.registry.worker(w.id) == nil })
		if d.stats.refusals()["rate"] == 0 {
			t.Error("it is not counted")
		}
		d.worker(func(r *signal.Register) { r.ID = w.id })
	})
}

// A hundred workers join at the same time: more than may be strangers at once.
func TestAllWorkersComeAtOnce(t *testing.T) {
	d := start(t, func(c *Config) { c.Logger = nil })
	var group sync.WaitGroup
	for range 2 * maxStrangers {
		group.Go(func() { d.register(secret, nil).next(signal.TypeAccepted) })
	}
	group.Wait()
	until(t, "all workers", func() bool { return len(d.registry.workersView()) == 2*maxStrangers })
	if n := d.registry.totals(); n.LibrariesWanted != 1 || n.Workers[signal.StateReady] != 2*maxStrangers {
		t.Errorf("%+v", n)
	}
}

// The worker that is asked for a library says nothing: soon another one is asked.
func TestLibraryIsNotOwedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startPiped(t)
		mute := d.mute(func(*signal.Register) {})
		until(t, "the mute worker", func() bool { return len(d.registry.workersView()) == 1 })
		w := d.register(secret, nil)
		if read[signal.Accepted](t, w.next(signal.TypeAccepted)).Library {
			t.Error("both are asked")
		}
		w.next(signal.TypeWant)
		if d.registry.worker(mute) == nil {
			t.Error("the mute worker was missed before another one is asked")
		}
		w.say(signal.TypeLibrary, "", "", full(games("pong")))
		until(t, "the library", func() bool { return d.registry.knows(w.id) && len(d.games()) == 1 })
	})
}

// What was refused is counted by cause.
func TestRefusedRolesAreCounted(t *testing.T) {
	d := start(t, nil)
	w := d.register("wrong", nil)
	w.refused("r", signal.CodeDenied)
	w.ends()
	w = d.worker(nil)
	w.say(signal.TypeHello, "", "", nil)
	w.raw([]byte("{"))
	until(t, "the count", func() bool {
		n := d.stats.refusals()
		return n["denied"] == 1 && n["bad-request"] == 2
	})
	w.say(signal.TypeDone, "nobody-asked", "", nil)
	w.say(signal.TypeError, "nobody-asked", "", signal.Errorf(signal.CodeFull, "no"))
	until(t, "the count of late answers", func() bool { return d.registry.totals().LateAnswers == 2 })
}

// A fault in what serves one socket does not end the others.
func TestPanicOfOneSocket(t *testing.T) {
	c, err := New(Config{Address: "127.0.0.1:0", Web: web(), Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	d := run(t, c)
	other := d.worker(nil)
	func() {
		defer c.recovered()
		panic("a fault")
	}()
	sock := loose()
	func() {
		defer c.recovered()
		sock.serve(t.Context(), func(context.Context, *socket) { panic("another") })
	}()
	if sock.send(nil) {
		t.Error("its socket goes on")
	}
	if d.registry.worker(other.id) == nil {
		t.Error("the worker is gone")
	}
}
