package coordinator

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/credential"
)

var _ relaySource = (*discovery.Turn)(nil)

// said is a source of relays whose sets a test says.
type said chan []string

var _ relaySource = said(nil)

// Watch implements relaySource.
func (s said) Watch(ctx context.Context, update func([]string)) {
	for {
		select {
		case urls := <-s:
			update(urls)
		case <-ctx.Done():
			return
		}
	}
}

// say returns when the coordinator knows the URLs, of which n are of use.
func (s said) say(t *testing.T, d *door, n int, urls ...string) {
	t.Helper()
	s <- urls
	s <- urls // the one before has been taken
	if got := d.Stats().Relays; got != n {
		t.Errorf("%d relays are known, want %d", got, n)
	}
}

// told are the URLs of one list of servers, each with a credential of the session.
func told(t *testing.T, servers []signal.ICEServer, session string) []string {
	t.Helper()
	var urls []string
	for _, server := range servers {
		u, err := credential.Verify([]string{credential.Derive(secret, credential.LabelTURN)}, server.Username, server.Credential, time.Now())
		if err != nil || u.Session != session {
			t.Errorf("the credential for %q is of %q, %v", server.URLs, u.Session, err)
		}
		urls = append(urls, server.URLs...)
	}
	return urls
}

// What a source knows of is told in place of gates that have joined, at once:
// to new sessions, to those that come back, and to those that ask.
func TestRelays(t *testing.T) {
	source := make(said)
	d := start(t, func(c *Config) { c.Relays = source })
	gate := d.gate(credential.Derive(secret, credential.LabelTURN), "turn:joined:3478")
	gate.next(signal.TypeAccepted)
	first := d.page()
	check := func(p *page, want ...string) {
		t.Helper()
		if got := told(t, p.hello.ICEServers, p.hello.Session); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	check(first, "turn:joined:3478")
	source.say(t, d, 0)
	check(d.page(), "turn:joined:3478")
	source.say(t, d, 2, "turn:192.0.2.1:3478?transport=udp", "turns:lb.example.org:5349?transport=tcp")
	check(d.page(), "turn:192.0.2.1:3478?transport=udp", "turns:lb.example.org:5349?transport=tcp")
	source.say(t, d, 1, "turn:192.0.2.2:3478?transport=udp")
	second := d.page()
	check(second, "turn:192.0.2.2:3478?transport=udp")
	first.say(signal.TypeServers, "1", "", nil)
	servers := read[signal.Servers](t, first.next(signal.TypeServers)).ICEServers
	if got := told(t, servers, first.hello.Session); !slices.Equal(got, []string{"turn:192.0.2.2:3478?transport=udp"}) {
		t.Errorf("who asks is told %q", got)
	}
	second.resumes(first.hello.Token)
	second.say(signal.TypeServers, "2", "", nil)
	servers = read[signal.Servers](t, second.next(signal.TypeServers)).ICEServers
	if got := told(t, servers, first.hello.Session); !slices.Equal(got, []string{"turn:192.0.2.2:3478?transport=udp"}) {
		t.Errorf("who has resumed is told %q", got)
	}
	source.say(t, d, 0)
	check(d.page(), "turn:joined:3478")
}

// The host by which the page was found is put where there is none, and what is
// then there twice is told once.
func TestRelaysWithoutHost(t *testing.T) {
	source := make(said)
	d := start(t, func(c *Config) { c.Relays = source })
	source.say(t, d, 3, "turn::30001?transport=udp", "turn:127.0.0.1:30001?transport=udp", "turn:[2001:db8::1]:30001?transport=udp")
	want := []string{"turn:127.0.0.1:30001?transport=udp", "turn:[2001:db8::1]:30001?transport=udp"}
	p := d.page()
	if got := told(t, p.hello.ICEServers, p.hello.Session); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// What a source says is bounded, and nothing of it spoils the rest.
func TestHostileRelays(t *testing.T) {
	source := make(said)
	d := start(t, func(c *Config) { c.Relays = source })
	source.say(t, d, 1, "", "turn", "turn:", "turn:a b:1", "http://a", "turn:a:0", "turn:a:1?transport=sctp", "turn::99999", "turn:good:1", "turn:good:1", "turn:a\n:1")
	if got := d.page().hello.ICEServers; len(got) != 1 || !slices.Equal(got[0].URLs, []string{"turn:good:1"}) {
		t.Errorf("told %+v", got)
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("turn:host-%d:3478", i))
	}
	source.say(t, d, signal.MaxURLs, many...)
	if got := d.page().hello.ICEServers; len(got) != 1 || !slices.Equal(got[0].URLs, many[:signal.MaxURLs]) {
		t.Errorf("told %+v", got)
	}
}
