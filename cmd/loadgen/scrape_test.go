package loadgen

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

func TestParseMetrics(t *testing.T) {
	for text, want := range map[string]sample{
		"":                                   {},
		"# process_cpu_seconds_total 7":      {},
		"process_resident_memory_bytes 4096": {rss: 4096},
		"cloudretro_process_resident_memory_bytes 4.096e+03":      {rss: 4096},
		"process_cpu_seconds_total 1.5":                           {cpu: 1500 * time.Millisecond},
		"process_cpu_seconds_total   2  ":                         {cpu: 2 * time.Second},
		"process_cpu_seconds_total NaN":                           {},
		"process_cpu_seconds_total two":                           {},
		"process_cpu_seconds_total":                               {},
		"process_cpu_seconds_total_of_another 7":                  {},
		"cloudretro_coordinator_sockets{kind=\"page\"} 3":         {sockets: 3},
		"coordinator_sockets{a=\"1\"} 3\ncoordinator_sockets{} 4": {sockets: 7},
		"coordinator_sockets 9":                                   {},
	} {
		got, err := parseMetrics(strings.NewReader(text))
		if err != nil || got.rss != want.rss || got.cpu != want.cpu || got.sockets != want.sockets || got.grant != nil {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if _, err := parseMetrics(strings.NewReader(strings.Repeat("x", 1<<20))); err == nil {
		t.Error("a line of a MiB is no error")
	}
}

// The quantiles are upper bounds of buckets; what is beyond the last has none.
func TestQuantilesOfBuckets(t *testing.T) {
	inf := math.Inf(1)
	for name, test := range map[string]struct {
		b    buckets
		want Times
	}{
		"nothing":        {nil, Times{}},
		"none counted":   {buckets{{0.1, 0}, {inf, 0}}, Times{}},
		"fewer than 0":   {buckets{{0.1, -3}, {inf, -3}}, Times{}}, // it was started anew in the meantime
		"all in one":     {buckets{{0.1, 7}, {1, 7}, {inf, 7}}, Times{7, 100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond}},
		"spread":         {buckets{{1, 50}, {2, 90}, {3, 99}, {4, 100}, {inf, 100}}, Times{100, time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}},
		"beyond all":     {buckets{{1, 0}, {inf, 5}}, Times{Count: 5}},
		"some beyond it": {buckets{{1, 5}, {inf, 10}}, Times{Count: 10, P50: time.Second}},
	} {
		if got := test.b.times(); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
	earlier, later := buckets{{1, 5}, {2, 5}, {inf, 6}}, buckets{{1, 5}, {2, 8}, {inf, 9}}
	if got := later.since(earlier).times(); got != (Times{3, 2 * time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second}) {
		t.Errorf("%+v", got)
	}
	if later[1].count != 8 {
		t.Error("what is given was changed")
	}
}

// What is at /metrics may be anything.
func TestScraperOfOthers(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(strings.Repeat("process_resident_memory_bytes 7\n", maxScrape/16)))
	}))
	defer server.Close()
	s, err := newScraper(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.sample(t.Context())
	if err != nil || got.rss != 7 || got.at.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	status = http.StatusForbidden
	if _, err := s.sample(t.Context()); err == nil || !strings.Contains(err.Error(), "403") {
		t.Error(err)
	}
}

// The end of a run is no fault of a coordinator.
func TestProbeAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	fault := errors.New("x")
	p := &probe{name: "a", take: func(context.Context) (sample, error) { return sample{rss: 9}, fault }}
	cancel()
	if _, ok := p.look(ctx); ok || p.fault != nil {
		t.Errorf("fault %v", p.fault)
	}
	p.mark(t.Context(), phaseEnd)
	if !errors.Is(p.fault, fault) || p.most.rss != 0 || p.marks[phaseEnd].rss != 0 {
		t.Errorf("%+v", p.most)
	}
	p.take = func(context.Context) (sample, error) { return sample{rss: 9, sockets: 2}, nil }
	r := &run{probes: []*probe{p}}
	r.mark(t.Context(), phaseStarts)
	p.take = func(context.Context) (sample, error) { return sample{rss: 5, sockets: 3}, nil }
	r.mark(t.Context(), phaseEnd)
	if u := p.usage(1); u.IdleRSS != 9 || u.MostRSS != 9 || u.Sockets != 3 || u.Of != "a" {
		t.Errorf("%+v", u)
	}
}

// Pages go to all coordinators in turns, by the address that was looked up.
func TestDial(t *testing.T) {
	hosts := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host + " " + r.Header.Get("Origin") + r.URL.Path
		u := websocket.Upgrader{}
		if conn, err := u.Upgrade(w, r, nil); err == nil {
			_ = conn.Close()
		}
	}))
	defer server.Close()
	at := server.Listener.Addr().String()
	d := newDialer([]discovery.Endpoint{{URL: "ws://a.test", Dial: at}, {URL: "ws://b.test/base", Dial: at}}, Options{})
	for n := range 4 {
		conn, err := d.dial(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		want := []string{"a.test http://a.test/ws", "b.test http://b.test/base/ws"}[n%2]
		if got := <-hosts; got != want {
			t.Errorf("page %d: %s, want %s", n, got, want)
		}
	}
	if len(d.slots) != 0 {
		t.Errorf("%d dial for ever", len(d.slots))
	}
	for range dialsAtOnce {
		d.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.dial(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits for others: %v", err)
	}
}

func TestOrigin(t *testing.T) {
	for url, want := range map[string]string{
		"ws://a:8000": "http://a:8000", "wss://a.example.org": "https://a.example.org", "wss://a/base": "https://a", "ws://[::1]:1/": "http://[::1]:1",
	} {
		if got := origin(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

// Coordinators are found by what the options name, once and in time.
func TestFind(t *testing.T) {
	found, err := find(t.Context(), Options{Coordinators: []string{"127.0.0.1:1", "127.0.0.2:1"}})
	if err != nil || len(found) != 2 || found[0].URL != "ws://127.0.0.1:1" {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := find(t.Context(), Options{Coordinators: []string{"ftp://a"}}); err == nil {
		t.Error("no address is an error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := find(ctx, Options{Coordinators: []string{"no-such-name.invalid:1"}}); err == nil {
		t.Error("a name that nobody has is no error")
	}
}
