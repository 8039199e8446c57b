package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/turn"
	"github.com/cloudretro/cloudretro/turn/credential"
)

// soakTime is how long TestSoak runs: CLOUDRETRO_SOAK=1h, else 20 s, a few with
// -short.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	if text := os.Getenv("CLOUDRETRO_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("CLOUDRETRO_SOAK: %v", err)
		}
		return d
	}
	if testing.Short() {
		return 5 * time.Second
	}
	return 20 * time.Second
}

// soak is a gate under mixed load.
type soak struct {
	*gate
	secret atomic.Pointer[string] // that coordinators mint with now
	trips  atomic.Int64
	opened atomic.Int64
}

// mint is a credential of a session that begins now.
func (s *soak) mint(t *testing.T, session string) (user, password string) {
	t.Helper()
	user, password, err := credential.Mint(*s.secret.Load(), session, 5*time.Minute, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return user, password
}

// TestSoak plays sessions over UDP, TCP and TLS, long and short ones, while the
// certificate is renewed, secrets are rotated and workers come and go: no session
// is lost, and at the end nothing is left of any.
func TestSoak(t *testing.T) {
	length := soakTime(t)
	s := &soak{gate: startGate(t, nil)}
	first := gateSecret
	s.secret.Store(&first)
	steady, fleeting := echo(t), echo(t)
	s.workers.set(t, s.gate, steady, fleeting)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var sessions sync.WaitGroup
	for i := range 12 {
		protocol := []string{turn.UDP, turn.UDP, turn.TCP, turn.TLS}[i%4]
		worker := []netip.AddrPort{steady, fleeting}[i/4%2]
		user, password := s.mint(t, fmt.Sprint("long-", i))
		c, err := s.call(protocol, user, password)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.roundTrip(worker, "begin"); err != nil { // bound before the worker leaves
			t.Fatal(err)
		}
		sessions.Go(func() {
			defer c.close()
			s.play(ctx, t, c, worker, fmt.Sprintf("long session %d over %s", i, protocol))
		})
	}
	for i := range 3 {
		sessions.Go(func() { s.visit(ctx, t, i, steady) })
	}
	s.trouble(ctx, t, steady, fleeting)
	sessions.Wait()
	eventually(t, "the end of all relays", func() bool { return s.Stats().Allocations == 0 })
	t.Logf("%s: %d short sessions, %d round trips, %+v", length, s.opened.Load(), s.trips.Load(), s.Stats().Listeners[0].Relay)
	if s.trips.Load() == 0 || s.opened.Load() == 0 {
		t.Error("there was no load")
	}
}

// play sends and receives until ctx ends; a session that gets nothing back for
// long is lost.
func (s *soak) play(ctx context.Context, t *testing.T, c *caller, worker netip.AddrPort, name string) {
	for n := 0; ctx.Err() == nil; n++ {
		if err := c.roundTrip(worker, fmt.Sprint(name, n)); err != nil {
			t.Errorf("%s is lost: %v", name, err)
			return
		}
		s.trips.Add(1)
		pause(ctx, time.Duration(1+rand.IntN(20))*time.Millisecond)
	}
}

// visit opens short sessions, one after the other.
func (s *soak) visit(ctx context.Context, t *testing.T, lane int, worker netip.AddrPort) {
	for n := 0; ctx.Err() == nil; n++ {
		protocol := []string{turn.UDP, turn.TCP, turn.TLS}[n%3]
		user, password := s.mint(t, fmt.Sprintf("short-%d-%d", lane, n))
		c, err := s.callFrom(fmt.Sprintf("127.3.%d.%d", lane, 1+n%250), protocol, user, password)
		if err != nil {
			t.Errorf("short session %d over %s does not begin: %v", n, protocol, err)
			return
		}
		if err := c.roundTrip(worker, "visit"); err != nil {
			t.Errorf("short session %d over %s: %v", n, protocol, err)
		}
		c.close()
		s.opened.Add(1)
		pause(ctx, 50*time.Millisecond)
	}
}

// trouble changes what may change under a running gate, until ctx ends: all of
// it at least once.
func (s *soak) trouble(ctx context.Context, t *testing.T, steady, fleeting netip.AddrPort) {
	shown := s.serial(t)
	s.newCertificate(t)
	for round := 0; round == 0 || ctx.Err() == nil; round++ {
		s.workers.set(t, s.gate, steady) // who plays there plays on
		secret := fmt.Sprintf("secret number %d of this soak", round)
		old := *s.secret.Load()
		s.rotate(t, secret, old)
		s.secret.Store(&secret)
		pause(ctx, time.Second) // those that began with the old one have begun
		s.rotate(t, secret)
		s.workers.set(t, s.gate, steady, fleeting)
		if now := s.serial(t); now != shown {
			shown = now
			s.newCertificate(t)
		}
		pause(ctx, time.Second)
	}
	eventually(t, "the new certificate", func() bool { return s.serial(t) != shown })
}

func (s *soak) rotate(t *testing.T, secrets ...string) {
	t.Helper()
	if err := s.SetCredentials(turn.Credentials{Secrets: secrets}); err != nil {
		t.Error(err)
	}
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
