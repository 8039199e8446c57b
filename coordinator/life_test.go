package coordinator

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// Pages are sent here when there are games to tell of, or none have come for a
// while; what workers do later changes nothing.
func TestReadyWithTheFirstGames(t *testing.T) {
	d := start(t, nil)
	if err := d.Ready(); err == nil {
		t.Error("ready without a worker")
	}
	if response := (&inquirer{d: d}).send(http.MethodGet, "/api/v1/health", ""); response.Body.Close() != nil || response.StatusCode != http.StatusOK {
		t.Errorf("its health is answered with %d", response.StatusCode)
	}
	w := d.register(secret, nil) // its games are not known yet
	until(t, "the registration", func() bool { return d.registry.worker(w.id) != nil })
	if err := d.Ready(); err == nil {
		t.Error("ready without games")
	}
	w.close()
	w = d.worker(nil)
	until(t, "the games", func() bool { return d.Ready() == nil })
	w.close()
	until(t, "the end of the worker", func() bool { return d.registry.worker(w.id) == nil })
	if err := d.Ready(); err != nil {
		t.Errorf("not ready any more: %v", err)
	}
	d.stop()
	if d.Ready() == nil {
		t.Error("ready after its end")
	}
}

func TestReadyWithoutWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Coordinator{registry: newRegistry()}
		c.life.init()
		time.Sleep(settleTime - time.Nanosecond)
		if c.Ready() == nil {
			t.Error("ready too early")
		}
		time.Sleep(time.Nanosecond)
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// A coordinator that is told to end goes on taking pages, until its grace is over.
func TestTakesPagesWhileItLingers(t *testing.T) {
	c, err := New(Config{Address: "127.0.0.1:0", Web: web(), Secret: secret, DrainGrace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	d := &door{Coordinator: c, t: t}
	w := d.worker(nil)
	p := d.page()
	p.plays(w)
	if err := d.Ready(); err != nil {
		t.Errorf("not ready meanwhile: %v", err)
	}
	_ = c.listener.Close() // the one other way to end
	if err := <-done; err == nil {
		t.Error("its listener failed without an error")
	}
}

// Then pages hear that they are to go elsewhere.
func TestSendsPagesAwayAtItsEnd(t *testing.T) {
	d := start(t, func(c *Config) { c.DrainGrace = time.Millisecond })
	p := d.page()
	d.stop()
	if code := p.ends(); code != websocket.CloseGoingAway {
		t.Errorf("the page is left with code %d", code)
	}
}

func TestLingers(t *testing.T) {
	tests := []struct {
		name         string
		grace, fails time.Duration // 0 = does not
		want         time.Duration
	}{
		{"not at all", 0, 0, 0},
		{"for its grace", 5 * time.Second, 0, 5 * time.Second},
		{"until it fails", 5 * time.Second, time.Second, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Coordinator{log: testLog(t), pages: newClass(always(1), always(1), 1, 1, nil)}
				c.current.Store(&settings{drainGrace: tt.grace})
				told, tell := context.WithCancel(t.Context())
				serving, fail := context.WithCancel(t.Context())
				defer fail()
				tell()
				if tt.fails > 0 {
					time.AfterFunc(tt.fails, fail)
				}
				begin := time.Now()
				c.linger(told, serving)
				if took := time.Since(begin); took != tt.want {
					t.Errorf("lingers for %v, want %v", took, tt.want)
				}
			})
		})
	}
}

// A lock that is not given back is noticed, whichever it is.
func TestAliveNeedsEveryLock(t *testing.T) {
	d := start(t, nil)
	d.Alive()
	for name, lock := range map[string]sync.Locker{
		"gate": &d.Coordinator.gate, "registry": &d.registry.mu, "sessions": &d.sessions.mu, "queue": &d.queue.mu,
	} {
		lock.Lock()
		done := make(chan struct{})
		go func() {
			d.Alive()
			close(done)
		}()
		select {
		case <-done:
			t.Errorf("alive though the lock of %s is held", name)
		case <-time.After(silence):
		}
		lock.Unlock()
		<-done
	}
}
