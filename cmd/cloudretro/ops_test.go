package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

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
func startOps(t *testing.T, checks []check, gauges []gauge) string {
	t.Helper()
	o, err := newOps("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o.checks, o.gauges = checks, gauges
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t)
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
		}}},
		[]gauge{{"cloudretro_rooms", "Rooms that run.", func() float64 { return 3 }}})

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

	_, text := get(t, "http://"+address+"/metrics")
	line := regexp.MustCompile(`^(# (HELP|TYPE) cloudretro_[a-z_]+ .+|cloudretro_[a-z_]+ [0-9.e+]+)$`)
	for l := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if !line.MatchString(l) {
			t.Errorf("/metrics has the line %q", l)
		}
	}
	for _, want := range []string{"cloudretro_rooms 3\n", "# TYPE cloudretro_rooms gauge\n", "# TYPE cloudretro_go_allocations_total counter\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %q", want)
		}
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
