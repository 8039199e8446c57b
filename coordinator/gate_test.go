package coordinator

import (
	"slices"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/credential"
)

// A gate that drains is named to no page, and still hears of workers.
func TestGateDrains(t *testing.T) {
	d := start(t, nil)
	turnSecret := credential.Derive(secret, credential.LabelTURN)
	first, second := d.gate(turnSecret, "turn:one:3478"), d.gate(turnSecret, "turn:two:3478", "turns:two:5349?transport=tcp")
	for _, g := range []*client{first, second} {
		g.next(signal.TypeAccepted)
		g.next(signal.TypePeers)
	}
	first.say(signal.TypeDrain, "", "", nil)
	until(t, "the drain", func() bool { return len(d.registry.gateURLs()) == 1 })
	p := d.page()
	if len(p.hello.ICEServers) != 1 || !slices.Equal(p.hello.ICEServers[0].URLs, []string{"turn:two:3478", "turns:two:5349?transport=tcp"}) {
		t.Errorf("ICE servers %+v", p.hello.ICEServers)
	}
	d.worker(func(r *signal.Register) { r.MediaAddrs = []string{"10.0.0.1:1"} })
	if got := read[signal.Peers](t, first.next(signal.TypePeers)).Addrs; !slices.Equal(got, []string{"10.0.0.1:1"}) {
		t.Errorf("a draining gate is told of %v", got)
	}
}

// Secrets rotate: the first mints, any proves a gate, and gates that are
// connected stay.
func TestTURNSecretsRotate(t *testing.T) {
	d := start(t, func(c *Config) { c.TURNSecrets = []string{"new", "old"} })
	gates := []*client{d.gate("new", "turn:a:1"), d.gate("old", "turn:b:1")}
	for _, g := range gates {
		g.next(signal.TypeAccepted)
		g.next(signal.TypePeers)
	}
	minted := func() []string {
		t.Helper()
		var by []string
		for _, server := range d.page().hello.ICEServers {
			for _, s := range []string{"newest", "new", "old"} {
				if u, err := credential.Verify([]string{s}, server.Username, server.Credential, time.Now()); err == nil {
					if ttl := time.Until(u.Expires); ttl > defaultCredentialTTL || ttl < defaultCredentialTTL-time.Minute {
						t.Errorf("a credential is good for %v", ttl)
					}
					by = append(by, s)
				}
			}
		}
		return by
	}
	if by := minted(); !slices.Equal(by, []string{"new", "new"}) {
		t.Errorf("minted with %v", by)
	}
	for _, bad := range [][]string{{""}, {"a", ""}} {
		if err := d.Reconfigure(Config{TURNSecrets: bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	next := []string{"newest", "new"}
	if err := d.Reconfigure(Config{TURNSecrets: next}); err != nil {
		t.Fatal(err)
	}
	next[0] = "changed by the caller"
	if by := minted(); !slices.Equal(by, []string{"newest", "newest"}) {
		t.Errorf("minted with %v", by)
	}
	d.gate("old", "turn:c:1").refused("g", signal.CodeDenied)
}
