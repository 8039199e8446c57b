package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const metrics = `# HELP cloudretro_process_resident_memory_bytes Resident memory size in bytes.
# TYPE cloudretro_process_resident_memory_bytes gauge
cloudretro_process_resident_memory_bytes 1.048576e+08
cloudretro_process_cpu_seconds_total %v
cloudretro_coordinator_sockets{kind="page"} 10
cloudretro_coordinator_sockets{kind="role"} 3
cloudretro_coordinator_grant_seconds_bucket{le="0.001"} %d
cloudretro_coordinator_grant_seconds_bucket{le="0.01"} %d
cloudretro_coordinator_grant_seconds_bucket{le="+Inf"} %d
cloudretro_coordinator_grant_seconds_sum 12
nonsense
`

func TestMetricsAreRead(t *testing.T) {
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		looks++
		fmt.Fprintf(w, metrics, float64(looks), 10, 20, 20+100*(looks-1))
	}))
	defer server.Close()
	probes, err := newProbes(Options{Ops: []string{server.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	p := probes[0]
	for phase := range phases {
		p.mark(t.Context(), phase)
	}
	u := p.usage(10)
	if u.IdleRSS != 100<<20 || u.MostRSS != 100<<20 || u.Sockets != 13 || u.CPUPerStart != 100*time.Millisecond || u.Grant.Count != 100 {
		t.Errorf("%+v", u)
	}
	if u.StartsCPU <= 0 || u.IdleCPU <= 0 {
		t.Errorf("CPU %v, %v", u.IdleCPU, u.StartsCPU)
	}
	var out bytes.Buffer
	u.print(&out)
	if !strings.Contains(out.String(), "100 MiB") {
		t.Error(out.String())
	}
	server.Close()
	if _, ok := p.look(t.Context()); ok || p.fault == nil {
		t.Error("a coordinator that is gone is looked at")
	}
}

func TestHistogram(t *testing.T) {
	var b buckets
	for _, line := range []struct {
		le    string
		count float64
	}{{"+Inf", 100}, {"0.5", 99}, {"0.001", 50}, {"x", 7}} {
		b = b.add(fmt.Sprintf("x_bucket{le=%q}", line.le), line.count)
	}
	got := b.since(nil).times()
	want := Times{Count: 100, P50: time.Millisecond, P90: 500 * time.Millisecond, P99: 500 * time.Millisecond}
	if got != want {
		t.Errorf("%+v", got)
	}
	if (buckets(nil).times() != Times{}) {
		t.Error("times of nothing")
	}
}

func TestScraperAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"localhost:9090": "http://localhost:9090/metrics", "https://a/ops/": "https://a/ops/metrics", "http://a:1/metrics": "http://a:1/metrics", "http://": "",
	} {
		s, err := newScraper(address)
		if (err != nil) != (want == "") || err == nil && s.url != want {
			t.Errorf("%s: %v, %v", address, s, err)
		}
	}
	if _, err := newProbes(Options{Ops: []string{"http://"}}); err == nil {
		t.Error("an ops address without a host is no error")
	}
}

func TestOwnProcess(t *testing.T) {
	s, err := processSample(os.Getpid())
	if err != nil {
		t.Skip(err) // not on this system
	}
	if s.rss < 1<<20 || s.sockets == 0 {
		t.Errorf("%+v", s)
	}
	if _, err := newProbes(Options{PIDs: []int{os.Getpid(), -1}}); err == nil {
		t.Error("a process that is not there is no error")
	}
}

func TestTimes(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(100-i))
	}
	if got := newTimes(all); got != (Times{100, 51, 91, 100, 100}) {
		t.Errorf("%+v", got)
	}
}

// Who is granted a place before others that were told to be before it is noticed.
func TestOvertaking(t *testing.T) {
	tally := newTally(Options{})
	var pages []*page
	for i := range 5 {
		p := &page{}
		pages = append(pages, p)
		tally.queued(p, i+1)
	}
	tally.queued(pages[4], 4) // the one before it was told the same
	tally.look()
	if n := tally.now(); n.exact != 0 || n.waiting != 5 {
		t.Errorf("%+v", n)
	}
	tally.queued(pages[4], 5)
	tally.look()
	if n := tally.now(); n.exact != 5 {
		t.Errorf("%+v", n)
	}
	tally.unqueue(pages[0], true)
	if n := tally.now(); n.overtaken != 0 {
		t.Errorf("in order: %+v", n)
	}
	tally.unqueue(pages[4], true)
	if n := tally.now(); n.overtaken != 3 || n.waiting != 3 || n.mostWaits != 5 || n.everWait != 5 {
		t.Errorf("the fifth is the second: %+v", n)
	}
	if tally.unqueue(pages[4], true) {
		t.Error("twice")
	}
}

// Rooms and sessions that are there twice are noticed.
func TestDoubles(t *testing.T) {
	tally := newTally(Options{})
	tally.roomOpened("a")
	tally.roomOpened("b")
	tally.answer(0, "room")
	if n := tally.now(); n.doubled != 0 || n.running != 2 {
		t.Errorf("%+v", n)
	}
	tally.roomOpened("a")
	tally.answer(0, "room")
	if n := tally.now(); n.doubled != 2 || n.mostRuns != 3 {
		t.Errorf("%+v", n)
	}
	r := &run{o: Options{Workers: 1, Places: 1}, tally: tally}
	if got := r.report(true); got.Doubled != 4 || !got.Cut {
		t.Errorf("three games at one place: %+v", got)
	}
}

func TestCauses(t *testing.T) {
	tally := newTally(Options{})
	for err, want := range map[error]string{
		signal.Errorf(signal.CodeFull, "x"):                 "full",
		&websocket.CloseError{Code: 1001, Text: "stopping"}: "closed with 1001 stopping",
		fmt.Errorf("dial: %w", syscall.ECONNREFUSED):        "connection refused",
		fmt.Errorf("dial: %w", context.DeadlineExceeded):    "time-out",
		errors.New("read tcp: i/o timeout"):                 "time-out",
		errors.New("other"):                                 "other",
	} {
		if got := cause(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
	for i := range 100 {
		tally.refused(t.Context(), fmt.Sprint(i))
	}
	if all := tally.causes(); len(all) != maxCauses+1 || all[0] != (Cause{"other", 100 - maxCauses}) {
		t.Errorf("%d causes, first %v", len(all), all[0])
	}
}

// Pages beyond what one address has ports for come from others.
func TestSources(t *testing.T) {
	local := []discovery.Endpoint{{URL: "ws://127.0.0.1:1"}}
	d := newDialer(local, Options{Browsers: 35_000})
	seen := map[string]bool{}
	for n := range 100 {
		seen[d.source("127.0.0.1:1", n).String()] = true
	}
	if len(seen) != 4 || !seen["127.0.1.4:0"] {
		t.Errorf("sources %v", seen)
	}
	if d.source("10.0.0.1:1", 7) != nil || newDialer(local, Options{Browsers: 9_999}).source("127.0.0.1:1", 7) != nil {
		t.Error("an address that nobody asked for")
	}
}

// What the simulated workers do for /admin, and with what they do not know.
func TestWorkerIsAdministrated(t *testing.T) {
	f := newFleet(Options{Workers: 1, Places: 2, Libraries: 1, Zones: 1, Logger: slog.New(slog.DiscardHandler)}, nil, newTally(Options{}))
	w := f.workers[0]
	if _, err := w.open("nobody", signal.Start{Game: ourGame, Ticket: "none"}); signal.AsError(err).Code != signal.CodeExpired {
		t.Errorf("without a place: %v", err)
	}
	for _, kind := range []signal.Type{signal.TypeInvite, signal.TypeHello} {
		if err := w.handle(nil, signal.Envelope{Type: kind}); err == nil {
			t.Errorf("%s is taken", kind)
		}
	}
	if err := w.handle(nil, signal.Envelope{Type: signal.TypeOffer, Session: "s"}); signal.AsError(err).Code != signal.CodeNotFound {
		t.Errorf("offer: %v", err)
	}
	if err := w.handle(nil, signal.Envelope{Type: signal.TypeDrain}); err != nil || w.load().State != signal.StateDraining {
		t.Errorf("drain: %v, %+v", err, w.load())
	}
	if err := w.handle(nil, signal.Envelope{Type: signal.TypeEnd, Data: []byte(`{"session":"s"}`)}); signal.AsError(err).Code != signal.CodeNotFound {
		t.Errorf("end: %v", err)
	}
	if l := w.list(); len(l.Sessions) != 0 || w.zone != "zone-1" {
		t.Errorf("%+v", l)
	}
	f.vanished("no room")
}
