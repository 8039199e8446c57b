package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is a resolver whose answers a test sets.
type book struct {
	mu      sync.Mutex
	entries map[string][]netip.Addr
	err     error
	asked   int
	block   bool // until the context ends
}

var _ resolver = (*book)(nil)

func (b *book) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.block {
		b.mu.Unlock()
		<-ctx.Done()
		b.mu.Lock()
		return nil, ctx.Err()
	}
	if b.err != nil || network != "ip" {
		return nil, b.err
	}
	addrs, ok := b.entries[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	return addrs, nil
}

func (b *book) set(host string, addrs ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries == nil {
		b.entries = map[string][]netip.Addr{}
	}
	b.entries[host] = nil
	for _, a := range addrs {
		b.entries[host] = append(b.entries[host], netip.MustParseAddr(a))
	}
}

func (b *book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *book) times() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// watched is what Watch said.
type watched struct {
	mu   sync.Mutex
	sets [][]Endpoint
	stop func()
}

func watch(t *testing.T, b *book, log *slog.Logger, addresses ...string) *watched {
	t.Helper()
	a, err := NewAddresses(Config{Addresses: addresses, Resolver: b, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		a.Watch(ctx, func(set []Endpoint) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.sets = append(w.sets, set)
		})
	})
	w.stop = func() { cancel(); group.Wait() }
	return w
}

// says checks the number of sets so far and the last one, as "URL dial".
func (w *watched) says(t *testing.T, n int, want ...string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sets) != n {
		t.Fatalf("%d sets were said, want %d: %v", len(w.sets), n, w.sets)
	}
	var got []string
	for _, e := range w.sets[n-1] {
		got = append(got, strings.TrimSpace(e.URL+" "+e.Dial))
	}
	if !slices.Equal(got, want) {
		t.Errorf("endpoints are %q, want %q", got, want)
	}
}

func TestNames(t *testing.T) {
	tests := map[string]struct {
		addresses []string
		want      []string
	}{
		"nothing":     {nil, nil},
		"an IP":       {[]string{"10.0.0.1:8000"}, []string{"ws://10.0.0.1:8000"}},
		"IPv6":        {[]string{"[2001:db8::1]:8000"}, []string{"ws://[2001:db8::1]:8000"}},
		"one twice":   {[]string{"10.0.0.1:8000", "http://10.0.0.1:8000/", "ws://10.0.0.1:8000"}, []string{"ws://10.0.0.1:8000"}},
		"a name":      {[]string{"two:8000"}, []string{"ws://two:8000 10.0.0.1:8000", "ws://two:8000 10.0.0.2:8000"}},
		"its port":    {[]string{"http://one"}, []string{"ws://one 10.0.0.1:80"}},
		"with TLS":    {[]string{"https://one"}, []string{"wss://one 10.0.0.1:443"}},
		"with a path": {[]string{"https://one:8443/base/"}, []string{"wss://one:8443/base 10.0.0.1:8443"}},
		"both":        {[]string{"localhost:8000"}, []string{"ws://localhost:8000 127.0.0.1:8000", "ws://localhost:8000 [::1]:8000"}},
		"useless":     {[]string{"odd:1"}, []string{"ws://odd:1 10.0.0.9:1"}},
		"two names":   {[]string{"one:1", "https://one:2"}, []string{"ws://one:1 10.0.0.1:1", "wss://one:2 10.0.0.1:2"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &book{}
				b.set("one", "10.0.0.1")
				b.set("two", "10.0.0.2", "10.0.0.1", "::ffff:10.0.0.2")
				b.set("localhost", "::1", "127.0.0.1")
				b.set("odd", "0.0.0.0", "224.0.0.1", "::", "10.0.0.9")
				w := watch(t, b, nil, test.addresses...)
				defer w.stop()
				w.says(t, 1, test.want...)
			})
		})
	}
}

func TestBadAddresses(t *testing.T) {
	for _, address := range []string{"", ":8000", "ftp://a", "https://user:pass@a", "a b:1", "a:x"} {
		if _, err := New([]string{"10.0.0.1:1", address}, nil); err == nil {
			t.Errorf("%q is accepted", address)
		}
	}
}

// A name is looked up every five seconds, more or less, and said when it changed.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		b.set("c", "10.0.0.1", "10.0.0.2")
		w := watch(t, b, nil, "c:8000")
		defer w.stop()
		w.says(t, 1, "ws://c:8000 10.0.0.1:8000", "ws://c:8000 10.0.0.2:8000")
		time.Sleep(time.Minute)
		if n := b.times(); n < 9 || n > 17 {
			t.Errorf("%d look-ups in a minute", n)
		}
		b.set("c", "10.0.0.2", "10.0.0.1") // the order is nothing
		time.Sleep(2 * period)
		w.says(t, 1, "ws://c:8000 10.0.0.1:8000", "ws://c:8000 10.0.0.2:8000")
		b.set("c", "10.0.0.3", "10.0.0.2")
		time.Sleep(period + period/4)
		w.says(t, 2, "ws://c:8000 10.0.0.2:8000", "ws://c:8000 10.0.0.3:8000")
	})
}

// While a look-up fails, what was known stays; it is logged once.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &book{}
		b.set("c", "10.0.0.1")
		w := watch(t, b, slog.New(slog.NewTextHandler(&log, nil)), "c:8000", "10.0.0.9:1")
		w.says(t, 2, "ws://10.0.0.9:1", "ws://c:8000 10.0.0.1:8000")
		b.fail(errors.New("no server answers"))
		time.Sleep(time.Minute)
		b.fail(nil)
		b.set("c") // answered, but empty
		time.Sleep(time.Minute)
		w.says(t, 2, "ws://10.0.0.9:1", "ws://c:8000 10.0.0.1:8000")
		b.set("c", "10.0.0.2")
		time.Sleep(2 * period)
		w.says(t, 3, "ws://10.0.0.9:1", "ws://c:8000 10.0.0.2:8000")
		b.fail(errors.New("no server answers"))
		time.Sleep(time.Minute)
		w.stop()
		if n := strings.Count(log.String(), "no server answers"); n != 2 {
			t.Errorf("two times of trouble are logged %d times:\n%s", n, log.String())
		}
	})
}

// A name that was never found is looked for each second; what is known is said
// meanwhile.
func TestNameThatIsNotThereYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		w := watch(t, b, nil, "late:8000", "10.0.0.9:1")
		defer w.stop()
		w.says(t, 1, "ws://10.0.0.9:1")
		time.Sleep(10 * time.Second)
		if n := b.times(); n < 8 {
			t.Errorf("%d look-ups in ten seconds", n)
		}
		b.set("late", "10.0.0.1")
		time.Sleep(2 * urgent)
		w.says(t, 2, "ws://10.0.0.9:1", "ws://late:8000 10.0.0.1:8000")
	})
}

// Where there is nothing to look up nothing is done, but it lasts as long.
func TestOnlyIPs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		w := watch(t, b, nil, "10.0.0.9:1")
		time.Sleep(time.Hour)
		w.says(t, 1, "ws://10.0.0.9:1")
		w.stop()
		if n := b.times(); n != 0 {
			t.Errorf("%d look-ups", n)
		}
	})
}

// A resolver that hangs holds up neither what needs none, nor the end.
func TestResolverThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{block: true}
		w := watch(t, b, nil, "c:8000", "10.0.0.9:1")
		w.says(t, 1, "ws://10.0.0.9:1")
		time.Sleep(patient + 1)
		time.Sleep(2 * urgent) // in the middle of the next
		w.stop()
	})
}

// A name that stands for the whole Internet does not fill the memory.
func TestManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		var all []string
		for i := range 2 * MaxEndpoints {
			all = append(all, fmt.Sprintf("10.0.%d.%d", i/250, i%250))
		}
		b.set("c", all...)
		w := watch(t, b, nil, "c:8000")
		defer w.stop()
		synctest.Wait()
		if n := len(w.sets[0]); n != MaxEndpoints {
			t.Errorf("%d endpoints", n)
		}
	})
}

// Two watches of the same name do not ask at the same moments.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		one, two := &clock{}, &clock{}
		for _, c := range []*clock{one, two} {
			a, err := NewAddresses(Config{Addresses: []string{"c:1"}, Resolver: c})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() { a.Watch(ctx, func([]Endpoint) {}) })
			time.Sleep(time.Minute)
			cancel()
			group.Wait()
			for i := range c.asked {
				c.asked[i] = begin.Add(c.asked[i].Sub(c.asked[0]))
			}
		}
		if slices.EqualFunc(one.asked[1:], two.asked[1:], time.Time.Equal) {
			t.Error("they keep step")
		}
	})
}

// clock is a resolver that notes when it was asked.
type clock struct{ asked []time.Time }

func (c *clock) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	c.asked = append(c.asked, time.Now())
	return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
}

// The system's resolver is what it is by default.
func TestSystem(t *testing.T) {
	a, err := New([]string{"localhost:8000"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a.Watch(ctx, func(set []Endpoint) {
		if len(set) == 0 || set[0].URL != "ws://localhost:8000" || !strings.HasSuffix(set[0].Dial, ":8000") {
			t.Errorf("localhost is %+v", set)
		}
		cancel()
	})
}
