package uplink

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const patient = time.Minute // for what should be there in no time, on a machine that may stall

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not happen within %s", what, patient)
}

// source is a discovery.Source that a test speaks for.
type source chan []discovery.Endpoint

var _ discovery.Source = source(nil)

func (s source) Watch(ctx context.Context, update func([]discovery.Endpoint)) {
	for {
		select {
		case set := <-s:
			update(set)
		case <-ctx.Done():
			return
		}
	}
}

// at names these and no others.
func at(list ...discovery.Endpoint) source {
	s := make(source, 1)
	s <- list
	return s
}

// role is a Role that notes what happens to it. Its functions may be replaced
// before it runs.
type role struct {
	Role
	keeper *Keeper
	log    *syncBuffer
	stop   func()

	mu       sync.Mutex
	events   []string // joined and left, in order
	attempts []int
	heard    []signal.Envelope
}

func newRole() *role {
	r := &role{log: &syncBuffer{}}
	r.Role = Role{
		Path: "/ws/worker", Introduce: r.introduce, Message: r.message, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Joined: func(l *Link, _ signal.Accepted) { r.note("joined " + l.Coordinator()) },
		Left:   func(l *Link) { r.note("left " + l.Coordinator()) },
	}
	return r
}

func (r *role) introduce(c signal.Challenge, attempt int) (signal.Type, any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, attempt)
	return signal.TypeRegister, signal.Proof{ID: "w", MAC: signal.MAC("secret", c.Nonce, signal.RoleWorker, "w")}
}

// message refuses one type, to see the refusal.
func (r *role) message(_ *Link, e signal.Envelope) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, e)
	if e.Type == signal.TypeReserve {
		return signal.Errorf(signal.CodeFull, "no place")
	}
	return nil
}

func (r *role) note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// saw are the events so far.
func (r *role) saw() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *role) tried() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attempts)
}

// got are the types of the messages so far.
func (r *role) got() (types []signal.Type) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.heard {
		types = append(types, e.Type)
	}
	return types
}

// lenient are the usual times, but that nobody is given up while the machine stalls.
func lenient() times {
	t := defaultTimes()
	t.dial, t.handshake, t.silence, t.flush, t.farewell = patient, patient, patient, patient, patient
	return t
}

// quick are lenient times that tests can wait for.
func quick() times {
	t := lenient()
	t.first, t.away, t.refused, t.again = 5*time.Millisecond, 20*time.Millisecond, 40*time.Millisecond, 40*time.Millisecond
	t.ping = 50 * time.Millisecond
	return t
}

// run runs the role until stop is called or the test ends.
func (r *role) run(t *testing.T, sources ...discovery.Source) *role {
	t.Helper()
	return r.runWith(t, quick(), sources...)
}

func (r *role) runWith(t *testing.T, times times, sources ...discovery.Source) *role {
	t.Helper()
	r.keeper = New(r.Role, sources...)
	r.keeper.times = times
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := r.keeper.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	r.stop = func() { cancel(); group.Wait() }
	t.Cleanup(r.stop)
	return r
}

func (r *role) links() int { return len(r.keeper.Links()) }

// link waits for the one link.
func (r *role) link(t *testing.T) *Link {
	t.Helper()
	until(t, "joining", func() bool { return r.links() == 1 })
	return r.keeper.Links()[0]
}

// syncBuffer is a log.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.buf.String(), text)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
