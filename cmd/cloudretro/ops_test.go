package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// startOps serves until the test ends and returns its address.
func startOps(t *testing.T, checks []check, metrics ...prometheus.Collector) string {
	t.Helper()
	before := goleak.IgnoreCurrent()
	o, err := newOps("127.0.0.1:0", slog.New(slog.DiscardHandler), checks, metrics)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, before)
	})
	return o.listener.Addr().String()
}

func TestOps(t *testing.T) {
	var broken atomic.Bool
	address := startOps(t,
		[]check{{"worker", func() error {
			if broken.Load() {
				return errors.New("has no coordinator")
			}
			return nil
		}}})

	if code, text := get(t, "http://"+address+"/livez"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/livez: %d %q", code, text)
	}
	if code, text := get(t, "http://"+address+"/readyz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/readyz: %d %q", code, text)
	}
	if err := health(t.Context(), address); err != nil {
		t.Errorf("health: %v", err)
	}
	broken.Store(true)
	if code, text := get(t, "http://"+address+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "worker: has no coordinator") {
		t.Errorf("/readyz: %d %q", code, text)
	}
	if err := health(t.Context(), address); err == nil || !strings.Contains(err.Error(), "worker: has no coordinator") {
		t.Errorf("health: %v", err)
	}
	if code, _ := get(t, "http://"+address+"/livez"); code != http.StatusOK {
		t.Errorf("/livez is %d while not ready", code)
	}
	if code, _ := get(t, "http://"+address+"/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
}

// snapshot is what a role might tell of itself.
type snapshot struct {
	rooms   int
	sent    uint64
	dropped map[string]uint64
}

func TestMetrics(t *testing.T) {
	taken := 0
	address := startOps(t, nil, collect(func() snapshot {
		taken++
		return snapshot{rooms: 3, sent: 1 << 40, dropped: map[string]uint64{"full": 2, "late \"packet\"": 1}}
	},
		gauge("rooms", "Rooms that run.", func(s snapshot) int { return s.rooms }),
		counter("sent_total", "Packets.", func(s snapshot) uint64 { return s.sent }),
		counters("dropped_total", "Packets, by cause.", "cause", func(s snapshot) map[string]uint64 { return s.dropped }),
		gauges("viewers", "None.", "path", func(snapshot) map[string]int { return nil }),
	))
	code, text := get(t, "http://"+address+"/metrics")
	if code != http.StatusOK || taken != 1 {
		t.Errorf("status %d, %d snapshots for one answer", code, taken)
	}
	for l := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if name := strings.TrimPrefix(strings.TrimPrefix(l, "# HELP "), "# TYPE "); !strings.HasPrefix(name, metricsPrefix) {
			t.Errorf("/metrics has the line %q", l)
		}
	}
	for _, want := range []string{
		"cloudretro_rooms 3\n", "# TYPE cloudretro_rooms gauge\n", "# TYPE cloudretro_sent_total counter\n", "cloudretro_sent_total 1.099511627776e+12\n",
		"cloudretro_dropped_total{cause=\"full\"} 2\n", `cloudretro_dropped_total{cause="late \"packet\""} 1`,
		"# TYPE cloudretro_go_goroutines gauge\n", "cloudretro_process_cpu_seconds_total ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

// TestTwiceTheSameMetric is a mistake of ours that must not wait for a scrape.
func TestTwiceTheSameMetric(t *testing.T) {
	same := func() prometheus.Collector {
		return collect(func() int { return 1 }, gauge("rooms", "Rooms.", func(n int) int { return n }))
	}
	if o, err := newOps("127.0.0.1:0", slog.New(slog.DiscardHandler), nil, []prometheus.Collector{same(), same()}); err == nil {
		_ = o.close()
		t.Error("two collectors of one name were taken")
	}
}

func TestHealthOfNobody(t *testing.T) {
	tests := []struct{ address, want string }{
		{"", "ops.address is empty"},
		{"nonsense", "ops.address"},
		{"127.0.0.1:1", "nobody answers"},
	}
	for _, tt := range tests {
		if err := health(t.Context(), tt.address); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("health(%q): %v, want one that says %q", tt.address, err, tt.want)
		}
	}
}

// A part that hangs makes /livez say so, with its name alone; the door goes on, and
// when the part does too all is well. However often it is asked, one goroutine waits.
func TestLivez(t *testing.T) {
	var stuck sync.Mutex
	o := &ops{log: slog.New(slog.DiscardHandler), metrics: http.NotFoundHandler(), pulses: []*pulse{
		{name: "coordinator", alive: func() {}},
		{name: "worker", alive: func() { stuck.Lock(); stuck.Unlock() }}, //nolint:staticcheck // as roles do
		{name: "turn", alive: func() {}},
	}}
	livez := func() (int, string) {
		rec := httptest.NewRecorder()
		o.handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/livez", nil))
		return rec.Code, strings.TrimSpace(rec.Body.String())
	}
	if code, text := livez(); code != http.StatusOK || text != "ok" {
		t.Errorf("/livez: %d %q", code, text)
	}
	stuck.Lock()
	var asked sync.WaitGroup
	for range 3 {
		asked.Go(func() {
			if code, text := livez(); code != http.StatusServiceUnavailable || text != "worker: does not answer" {
				t.Errorf("/livez: %d %q", code, text)
			}
		})
	}
	asked.Wait()
	pending := o.pulses[1].ask()
	if again := o.pulses[1].ask(); again != pending {
		t.Error("what hangs is asked again")
	}
	stuck.Unlock()
	<-pending
	if code, text := livez(); code != http.StatusOK || text != "ok" {
		t.Errorf("/livez afterwards: %d %q", code, text)
	}
}

// The roles of a house are asked.
func TestLivezOfAHouse(t *testing.T) {
	h, err := build(t.Context(), defaults(t, "secrets.worker=0123456789abcdef0", "turn.listeners=[{protocol: tcp, address: '127.0.0.1:0'}]",
		"ops.address=127.0.0.1:0", "coordinator.server.address=127.0.0.1:0"), roles{coordinator: true, turn: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	var names []string
	for _, p := range h.pulses {
		names = append(names, p.name)
		<-p.ask()
	}
	if !slices.Equal(names, []string{"coordinator", "turn"}) {
		t.Errorf("asked are %q", names)
	}
	for _, p := range h.parts[1:] {
		if p.left == nil {
			t.Errorf("nobody knows what %s waits for", p.name)
		}
	}
}
