package coordinator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/identity"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// twoPods takes the tokens of the pods 1 and 2.
func twoPods(c *Config) { c.Tokens = passes{"a.b.1": nil, "a.b.2": nil} }

// TestIDsOfOtherPods: who shows the token of a pod is a worker of that pod and of
// no other, whether the one whose id it would have is here, away or not yet back.
func TestIDsOfOtherPods(t *testing.T) {
	d := start(t, twoPods)
	refused := func(id string) {
		t.Helper()
		r := d.presents(id, "", "a.b.2").refused("r", signal.CodeDenied)
		if !strings.Contains(r.Message, id) || !strings.Contains(r.Message, "pod-2") || !strings.Contains(r.Message, "the same version") {
			t.Errorf("%s: %q", id, r.Message)
		}
	}
	one, two := idOf("1", "one"), signal.NewID()
	refused(one) // the coordinator has just started
	first := d.presents(one, "", "a.b.1")
	first.next(signal.TypeAccepted)
	d.presents(two, secret, "").next(signal.TypeAccepted)
	for _, id := range []string{one, two, idOf("1", "another"), "random", "pod-", idOf("2", "")} {
		refused(id)
	}
	again := d.presents(one, "", "a.b.1")
	again.next(signal.TypeAccepted)
	if code := first.ends(); code != closeReplaced {
		t.Errorf("the old connection ended with %d", code)
	}
	again.close()
	until(t, "the worker to be missed", func() bool { return d.registry.worker(one) == nil })
	refused(one)
	d.presents(one, secret, "").next(signal.TypeAccepted) // who knows the secret is believed
}

// TestWorkersOfOnePod: there are few.
func TestWorkersOfOnePod(t *testing.T) {
	d := start(t, twoPods)
	for i := range maxOfPod {
		d.presents(idOf("1", fmt.Sprint(i)), "", "a.b.1").next(signal.TypeAccepted)
	}
	if r := d.presents(idOf("1", "more"), "", "a.b.1").refused("r", signal.CodeDenied); !strings.Contains(r.Message, "pod-1 are here") {
		t.Errorf("%q", r.Message)
	}
	d.presents(idOf("1", "0"), "", "a.b.1").next(signal.TypeAccepted) // it is none more
	d.presents(idOf("2", "0"), "", "a.b.2").next(signal.TypeAccepted)
}

// TestWorkersThatComeAtOnce: what holds for workers that are here holds for those
// that are admitted and not here yet.
func TestWorkersThatComeAtOnce(t *testing.T) {
	r := newRegistry()
	one, two := identity.Identity{Pod: "pod-1", UID: uidOf("1")}, identity.Identity{Pod: "pod-2", UID: uidOf("2")}
	for i := range maxOfPod {
		if err := r.admit(idOf("1", fmt.Sprint(i)), one); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		id   string
		pod  identity.Identity
		says string
	}{
		{idOf("1", "0"), one, ""}, // it comes a second time
		{idOf("1", "0"), two, "is not one of pod pod-2"},
		{idOf("1", "more"), one, "pod-1 are here"},
		{idOf("2", "more"), two, ""},
		{"pod--0", identity.Identity{}, "is not one of pod"},
	} {
		if err := r.admit(tt.id, tt.pod); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s of %s: %v", tt.id, tt.pod.Pod, err)
		}
	}
	w := link(idOf("1", "0"), loose(), nil)
	w.pod = "pod-1"
	r.addWorker(w, signal.LibraryDigest(nil), nil)
	r.removeWorker(w)
	if err := r.admit(idOf("1", "more"), one); err != nil {
		t.Errorf("in the place of one that has left: %v", err)
	}
}

// TestRoomsOfOtherPods: a worker that shows the token of a pod has no rooms but
// the pod's, not even while the worker of the others is away.
func TestRoomsOfOtherPods(t *testing.T) {
	d := start(t, twoPods)
	own, foreign, free := roomOf("2"), roomOf("1"), signal.NewID()
	rooms := func(ids ...string) (list []signal.Room) {
		for _, id := range ids {
			list = append(list, signal.Room{ID: id, Game: "pong"})
		}
		return list
	}
	liar := d.presents(idOf("2", "liar"), "", "a.b.2", func(r *signal.Register) { r.Rooms = rooms(foreign, free) })
	liar.next(signal.TypeAccepted)
	liar.say(signal.TypeRooms, "", "", signal.Rooms{Rooms: rooms(foreign, own, free)})
	until(t, "its own room", func() bool { _, err := d.registry.forRoom(own); return err == nil })
	for _, id := range []string{foreign, free} {
		if _, err := d.registry.forRoom(id); err == nil {
			t.Errorf("%s is a room of its", id)
		}
		if err := d.registry.addRoom(d.registry.worker(idOf("2", "liar")), id); signal.AsError(err).Code != signal.CodeFailed {
			t.Errorf("it answers with %s: %v", id, err)
		}
	}
	until(t, "the refusal", func() bool { return d.stats.refusals()["denied"] == 1 })
	d.presents(idOf("1", "honest"), "", "a.b.1", func(r *signal.Register) { r.Rooms = rooms(foreign) }).next(signal.TypeAccepted)
	if w, _ := d.registry.forRoom(foreign); w == nil || w.id != idOf("1", "honest") {
		t.Error("the room is not its worker's")
	}
	d.presents("trusted", secret, "", func(r *signal.Register) { r.Rooms = rooms(free) }).next(signal.TypeAccepted)
	if w, _ := d.registry.forRoom(free); w == nil || w.id != "trusted" {
		t.Error("who knows the secret has not the rooms it says")
	}
}

// TestNamesAndAddressesOfOthers: who shows the token of a pod is called like the
// pod, and opens gates to itself alone.
func TestNamesAndAddressesOfOthers(t *testing.T) {
	d := start(t, twoPods)
	lies := func(r *signal.Register) {
		r.Name = "pod-1"
		r.MediaAddrs = []string{"10.0.0.1:53", "127.0.0.1:8443", "[::1]:8443", "127.0.0.2:1", "[::ffff:127.0.0.1]:8444", "169.254.169.254:80"}
	}
	d.presents(idOf("2", "liar"), "", "a.b.2", lies).next(signal.TypeAccepted)
	if peers := d.registry.peers(); !slices.Equal(peers, []string{"127.0.0.1:8443", "[::ffff:127.0.0.1]:8444"}) {
		t.Errorf("gates relay to %q", peers)
	}
	if views := d.registry.workersView(); len(views) != 1 || views[0].Name != "pod-2" {
		t.Errorf("it is called %q", views[0].Name)
	}
	d.presents("trusted", secret, "", lies).next(signal.TypeAccepted)
	if peers := d.registry.peers(); len(peers) != 6 {
		t.Errorf("gates relay to %q", peers)
	}
}

func TestAddressesAt(t *testing.T) {
	all := []string{"10.0.0.1:1", "10.0.0.2:1", "[fe80::1]:1", "[2001:db8::1]:1", "x", ""}
	for remote, want := range map[string]string{
		"10.0.0.2:999": "10.0.0.2:1", "[::ffff:10.0.0.1]:5": "10.0.0.1:1", "[fe80::1%eth0]:7": "[fe80::1]:1", "[2001:db8::1]:7": "[2001:db8::1]:1",
		"": "", "@": "", "10.0.0.3:1": "",
	} {
		if got := strings.Join(addressesAt(remote, slices.Clone(all)), " "); got != want {
			t.Errorf("at %q: %q, want %q", remote, got, want)
		}
	}
}

// TestPodsOfWorkers: nobody speaks for the pod of another one's token, and a name
// that no pod can have is none.
func TestPodsOfWorkers(t *testing.T) {
	d := start(t, func(c *Config) { c.Tokens = passes{"a.b.1": nil} })
	put := func(id, name, pod string, free int) {
		w := link(id, loose(), func(r *signal.Register) { r.Name, r.Load.Free = name, free })
		w.pod = pod
		d.registry.addWorker(w, signal.LibraryDigest(nil), nil)
	}
	put("liar", "pod-1", "", 1)
	put("true", "whatever", "pod-1", 2)
	put("liar-too", "pod-1", "", 3)
	put("old", "pod-2", "", 1)
	put("new", "pod-2", "", 4)
	put("person", "My worker", "", 1)
	pods := d.WorkerPods()
	if len(pods) != 2 || pods[0].Pod != "pod-1" || pods[0].Free != 2 || pods[1].Pod != "pod-2" || pods[1].Free != 4 {
		t.Errorf("pods %+v", pods)
	}
}

// FuzzWorkerOfPod: whatever a worker that shows the token of a pod registers, and
// says then, nothing of it is another pod's.
func FuzzWorkerOfPod(f *testing.F) {
	pod, part := identity.Identity{Pod: "pod-2", UID: uidOf("2")}, signal.PodPart(uidOf("2"))
	token := "e30.e30.AAAA"
	register := func(id string, room string, addrs ...string) []byte {
		return encode(signal.TypeRegister, "", "", signal.Register{
			ID: id, Name: "pod-1", Token: token, MediaAddrs: addrs, Library: signal.LibraryDigest(nil),
			Load: signal.Load{State: signal.StateReady}, Rooms: []signal.Room{{ID: room, Game: "pong"}},
		})
	}
	rooms := encode(signal.TypeRooms, "", "", signal.Rooms{Rooms: []signal.Room{{ID: roomOf("1"), Game: "pong"}, {ID: roomOf("2"), Game: "pong"}}})
	f.Add(register(idOf("2", "a"), roomOf("1"), "10.0.0.2:1", "10.0.0.3:53"), rooms)
	f.Add(register(idOf("1", "a"), roomOf("2"), "10.0.0.2:1"), rooms)
	f.Add(register(idOf("2", "a"), roomOf("2"), "[::ffff:10.0.0.2]:1", "[::1]:1"), []byte(`{"v":1,"type":"queue","data":{"coordinator":"c","since":[1]}}`))
	for _, data := range messages(f) {
		f.Add(register(idOf("2", "a"), roomOf("1")), data)
		f.Add(data, rooms)
	}
	f.Fuzz(func(t *testing.T, introduction, said []byte) {
		e, err := signal.Decode(introduction, signal.MaxInternal)
		if err != nil {
			return
		}
		reg, err := signal.Read[signal.Register](e)
		c := bare()
		if err != nil || c.registry.admit(reg.ID, pod) != nil {
			return
		}
		reg.MediaAddrs = addressesAt("10.0.0.2:5", reg.MediaAddrs)
		w := c.linkOf(reg, loose(), pod, true)
		c.registry.addWorker(w, reg.Library, reg.Rooms)
		if e, err := signal.Decode(said, signal.MaxInternal); err == nil {
			_ = c.fromWorker(w, e) // a refusal is as good
		}
		if !signal.WorkerOf(part, w.id) || !c.board.empty() {
			t.Errorf("%q is here, and says who waits elsewhere: %v", w.id, !c.board.empty())
		}
		for id := range c.registry.rooms {
			if !signal.RoomOf(part, id) {
				t.Errorf("it has the room %s", id)
			}
		}
		for _, addr := range c.registry.peers() {
			if !strings.HasPrefix(addr, "10.0.0.2:") && !strings.HasPrefix(addr, "[::ffff:") {
				t.Errorf("gates relay to %s", addr)
			}
		}
	})
}
