package coordinator

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/credential"
)

func (d *door) games() []string {
	var list []signal.Game
	if err := json.Unmarshal(d.registry.games.Load().body, &list); err != nil {
		d.t.Fatal(err)
	}
	ids := []string{}
	for _, g := range list {
		ids = append(ids, g.ID)
	}
	return ids
}

func TestWorkerAnnounces(t *testing.T) {
	d := start(t, nil)
	first := games("b", "a")
	one := d.workerWith(first, nil)
	two := d.workerWith(append(games("c", "a"), signal.Game{ID: "z", Title: "Aardvark", System: "gba"}), nil)
	lists := func(want ...string) func() bool { return func() bool { return slices.Equal(d.games(), want) } }
	until(t, "the games of both", lists("z", "a", "b", "c"))
	digest := signal.LibraryDigest(games("d"))
	one.say(signal.TypeLibrary, "", "", signal.Library{
		Base: signal.LibraryDigest(first), Digest: digest, Put: games("d"), Gone: []string{"a", "b"},
	})
	until(t, "the new library", lists("z", "a", "c", "d"))
	// A malformed one changes nothing and the worker stays.
	one.say(signal.TypeLibrary, "", "", signal.Library{Digest: digest, Put: []signal.Game{{ID: "../x"}}})
	one.say(signal.TypeHello, "", "", nil)
	one.raw([]byte("{"))
	one.say(signal.TypeRooms, "", "", signal.Rooms{Rooms: []signal.Room{{ID: "abcdefghijklmnopqrstuvwxyz", Game: "d"}}})
	until(t, "the room", func() bool { _, err := d.registry.forRoom("abcdefghijklmnopqrstuvwxyz"); return err == nil })
	two.close()
	until(t, "the loss of a worker", lists("d"))
	one.close()
	until(t, "the loss of the other", func() bool { return string(d.registry.games.Load().body) == "[]" })
}

func TestWorkerIsDenied(t *testing.T) {
	d := start(t, nil)
	w := d.register("wrong", nil)
	if r := w.refused("r", signal.CodeDenied); !strings.Contains(r.Message, "secrets.worker") {
		t.Errorf("no remedy in %q", r.Message)
	}
	w.ends()
	w = d.register(secret, func(r *signal.Register) { r.MediaAddrs = []string{"0.0.0.0:0"} })
	w.refused("r", signal.CodeBadRequest)
	w.ends()
	c := d.dial("/ws/worker", nil)
	c.next(signal.TypeChallenge)
	c.say(signal.TypeGate, "g", "", signal.Gate{})
	c.refused("g", signal.CodeBadRequest)
	c.ends()
	if len(d.games()) != 0 {
		t.Error("a refused worker's games are listed")
	}
}

// A proof cannot be used a second time: each connection has its own nonce.
func TestProofIsNotReplayed(t *testing.T) {
	d := start(t, nil)
	c := d.dial("/ws/worker", nil)
	challenge := read[signal.Challenge](t, c.next(signal.TypeChallenge))
	r := signal.Register{
		ID: "w", MAC: signal.MAC(secret, challenge.Nonce, signal.RoleWorker, "w"),
		Library: signal.LibraryDigest(nil), Load: signal.Load{State: signal.StateReady},
	}
	again := d.dial("/ws/worker", nil)
	again.next(signal.TypeChallenge)
	again.say(signal.TypeRegister, "", "", r)
	again.refused("", signal.CodeDenied)
	c.say(signal.TypeRegister, "", "", r)
	c.next(signal.TypeAccepted)
}

func (d *door) gate(secret string, urls ...string) *client {
	d.t.Helper()
	c := d.dial("/ws/turn", nil)
	challenge := read[signal.Challenge](d.t, c.next(signal.TypeChallenge))
	id := signal.NewID()
	c.say(signal.TypeGate, "g", "", signal.Gate{ID: id, MAC: signal.MAC(secret, challenge.Nonce, signal.RoleGate, id), URLs: urls})
	return c
}

func TestGate(t *testing.T) {
	d := start(t, nil)
	turnSecret := credential.Derive(secret, credential.LabelTURN)
	w := d.worker(func(r *signal.Register) { r.MediaAddrs = []string{"10.0.0.2:1", "10.0.0.1:1"} })
	g := d.gate(turnSecret, "turn::3478?transport=udp")
	g.next(signal.TypeAccepted)
	peers := func(want ...string) {
		t.Helper()
		if got := read[signal.Peers](t, g.next(signal.TypePeers)).Addrs; !slices.Equal(got, want) {
			t.Errorf("peers %v, want %v", got, want)
		}
	}
	peers("10.0.0.1:1", "10.0.0.2:1")
	other := d.worker(func(r *signal.Register) { r.MediaAddrs = []string{"10.0.0.2:1", "10.0.0.3:1"} })
	peers("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1")
	w.close()
	peers("10.0.0.2:1", "10.0.0.3:1")
	other.close()
	peers()

	before := time.Now()
	p := d.page()
	if len(p.hello.ICEServers) != 1 {
		t.Fatalf("ICE servers %+v", p.hello.ICEServers)
	}
	server := p.hello.ICEServers[0]
	if !slices.Equal(server.URLs, []string{"turn:127.0.0.1:3478?transport=udp"}) {
		t.Errorf("URLs %v", server.URLs)
	}
	u, err := credential.Verify([]string{turnSecret}, server.Username, server.Credential, before)
	if err != nil || u.Session != p.hello.Session || u.Expires.Before(before.Add(defaultCredentialTTL-time.Second)) {
		t.Errorf("credential %+v, %v", u, err)
	}
	g.say(signal.TypeHello, "", "", nil) // ignored
	g.close()
	until(t, "the loss of the gate", func() bool { return len(d.registry.gateURLs()) == 0 })
	if p := d.page(); len(p.hello.ICEServers) != 0 {
		t.Errorf("without a gate: %+v", p.hello.ICEServers)
	}
}

func TestGateIsDenied(t *testing.T) {
	d := start(t, func(c *Config) { c.TURNSecrets = []string{"south"} })
	for _, wrong := range []string{"", secret, credential.Derive(secret, credential.LabelTURN)} {
		g := d.gate(wrong, "turn::3478")
		if r := g.refused("g", signal.CodeDenied); !strings.Contains(r.Message, "secrets.turn") {
			t.Errorf("no remedy in %q", r.Message)
		}
		g.ends()
	}
	g := d.gate("south", "http://a")
	g.refused("g", signal.CodeBadRequest)
	g = d.gate("south", "turn::3478")
	g.next(signal.TypeAccepted)
}

func TestWithHost(t *testing.T) {
	urls := []string{"turn::3478?transport=udp", "turns:turn.example.org:5349"}
	for host, want := range map[string][]string{
		"play.example.org": {"turn:play.example.org:3478?transport=udp", "turns:turn.example.org:5349"},
		"localhost":        {"turn:127.0.0.1:3478?transport=udp", "turns:turn.example.org:5349"},
		"::1":              {"turn:[::1]:3478?transport=udp", "turns:turn.example.org:5349"},
		"":                 {"turns:turn.example.org:5349"},
	} {
		if got := withHost(urls, host); !reflect.DeepEqual(got, want) {
			t.Errorf("withHost(%q) = %v", host, got)
		}
	}
}

func TestHostName(t *testing.T) {
	for in, want := range map[string]string{
		"localhost:8000": "localhost", "LOCALHOST": "localhost", "[::1]:8000": "::1", "[::1]": "::1", "10.0.0.1:1": "10.0.0.1",
		"": "", "a b": "", "a/b:1": "", "a?b": "", "[fe80::1%25eth0]:1": "", "x:y:z": "", "a@b:1": "",
	} {
		if got := hostName(in); got != want {
			t.Errorf("hostName(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzHostName(f *testing.F) {
	f.Add("localhost:8000")
	f.Add("[::1]:1")
	f.Fuzz(func(t *testing.T, in string) {
		host := hostName(in)
		for _, u := range withHost([]string{"turn::3478?transport=udp"}, host) {
			if err := (signal.ICEServer{URLs: []string{u}}).Validate(); err != nil {
				t.Errorf("%q makes %q: %v", in, u, err)
			}
		}
	})
}
