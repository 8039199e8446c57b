package turn

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/certificate/certificatetest"
)

// pairFor is a fresh certificate for a host, and its key.
func pairFor(t *testing.T, host string) certificatetest.Pair {
	t.Helper()
	return certificatetest.New(t, host, time.Now().Add(24*time.Hour))
}

// reread has an identity take what its files hold now, as it would in a while.
func (i *identity) reread() {
	i.files.Refresh()
	i.files.Refresh()
}

func TestIdentityFollowsItsFiles(t *testing.T) {
	var said bytes.Buffer
	m := certificatetest.NewMount(t, pairFor(t, "one.example.org"))
	i, err := newIdentity(m.Cert, m.Key, "", slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	shows := func(host string) {
		t.Helper()
		if err := i.shownTo("").Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	shows("one.example.org")
	m.Swap(pairFor(t, "two.example.org"))
	i.reread()
	shows("two.example.org")
	m.Swap(pairFor(t, "three.example.org").Half())
	i.reread()
	i.reread()
	shows("two.example.org")
	if n := strings.Count(said.String(), "not taken"); n != 1 || !strings.Contains(said.String(), m.Cert) {
		t.Errorf("a broken pair is logged %d times: %s", n, said.String())
	}
	m.Swap(pairFor(t, "four.example.org"))
	i.reread()
	shows("four.example.org")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.watch(ctx); err != nil {
		t.Error(err)
	}
}

func TestIdentityErrors(t *testing.T) {
	m := certificatetest.NewMount(t, pairFor(t, "a.example.org"))
	for name, test := range map[string]struct{ cert, key, says string }{
		"missing": {m.Cert, "missing.pem", "missing.pem"},
		"swapped": {m.Key, m.Cert, "turn.tls"},
	} {
		if _, err := newIdentity(test.cert, test.key, "", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v does not say %q", name, err, test.says)
		}
	}
}

func TestSelfMade(t *testing.T) {
	for _, host := range []string{"", "turn.example.org", "192.0.2.1", "2001:db8::1"} {
		i, err := newIdentity("", "", host, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		name := host
		if name == "" {
			name = "localhost"
		}
		if err := i.shownTo("").Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
		if err := i.watch(t.Context()); err != nil { // there is nothing to follow
			t.Error(err)
		}
	}
}
