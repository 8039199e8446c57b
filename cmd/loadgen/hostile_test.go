package loadgen

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

// FuzzMetrics: whatever is served at /metrics, the figures of it are printed.
func FuzzMetrics(f *testing.F) {
	f.Add(metrics)
	f.Add("cloudretro_coordinator_grant_seconds_bucket{le=\"NaN\"} 1\ncloudretro_coordinator_grant_seconds_bucket{le=\"-1\"} -5\n")
	f.Add("process_cpu_seconds_total 1e300\nprocess_resident_memory_bytes -1e300\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseMetrics(strings.NewReader(text))
		if err != nil {
			return
		}
		earlier := s
		earlier.grant = s.grant[:len(s.grant)/2]
		p := &probe{marks: [phases]sample{earlier, earlier, s}}
		var out strings.Builder
		if err := (&Report{Usage: []Usage{p.usage(1)}}).print(&out); err != nil {
			t.Error(err)
		}
		if err := (&Report{Usage: []Usage{p.usage(1)}}).printJSON(&out); err != nil {
			t.Error(err)
		}
	})
}

// A coordinator that says what none says is an error of the page, not of ours.
func TestStrangeCoordinators(t *testing.T) {
	for want, says := range map[string]string{
		"hello: bad-request":              `nonsense`,
		"hello: greeted with servers":     `{"v":1,"type":"servers"}`,
		"hello: version":                  `{"v":9,"type":"hello"}`,
		"hello: closed with 4000 go away": "",
		"connect: status 403":             "403",
		"start: closed by the worker":     hello + `{"v":1,"type":"closed","data":{"reason":"x"}}`,
		"start: full":                     hello + `{"v":1,"type":"error","id":"1","data":{"code":"full","message":"x"}}`,
		"start: bad-request":              hello + `{"v":1,"type":"queued","id":"1","data":{"position":-1}}`,
		"start: closed with 4000 go away": hello + `{"v":1,"type":"queued","id":"1","data":{"position":1,"waiting":1}}`,
		"lost: closed with 4000 go away":  hello + answer,
		"lost: closed by the worker":      hello + answer + `{"v":1,"type":"closed","data":{"reason":"x"}}`,
	} {
		t.Run(want, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { say(w, r, says) }))
			defer server.Close()
			o := Options{Coordinators: []string{server.Listener.Addr().String()}, Game: ourGame, Starts: 1, Hold: time.Minute}
			if err := o.Check(); err == nil {
				t.Error("pages without media are nothing for real workers")
			}
			r := strangers(t, o)
			r.starts(t.Context())
			if got := r.tally.causes(); len(got) != 1 || got[0] != (Cause{want, 1}) {
				t.Errorf("causes %v", got)
			}
		})
	}
}

// strangers is a run of pages alone.
func strangers(t *testing.T, o Options) *run {
	t.Helper()
	endpoints := []discovery.Endpoint{{URL: "ws://" + o.Coordinators[0]}}
	tally := newTally(o)
	return &run{
		o: o, offer: canned(offerLines), tally: tally, endpoints: endpoints, dialer: newDialer(endpoints, o), fleet: newFleet(o, endpoints, tally),
	}
}

const (
	hello  = `{"v":1,"type":"hello","data":{"session":"abcdefgh","token":"t","iceServers":[]}}` + "\n"
	answer = `{"v":1,"type":"answer","id":"1","data":{"sdp":"v=0","room":"abcdefghijklmnopqrstuvwxyz","game":"loadgen","player":1,"seats":1}}` + "\n"
)

// say says lines and closes.
func say(w http.ResponseWriter, r *http.Request, says string) {
	if says == "403" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	u := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := u.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for line := range strings.Lines(says) {
		_ = conn.WriteMessage(websocket.TextMessage, []byte(line))
	}
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "go away"), time.Now().Add(time.Second))
	_, _, _ = conn.ReadMessage()
}

// What cannot be started, or ends at once, is told.
func TestSpawnFails(t *testing.T) {
	for _, binary := range []string{"/nowhere/at/all", "/bin/false"} {
		_, err := Measure(t.Context(), Options{Spawn: 1, Binary: binary, Workers: 1})
		if err == nil || !strings.Contains(err.Error(), "coordinator") {
			t.Errorf("%s: %v", binary, err)
		}
	}
}

func TestStat(t *testing.T) {
	tail := " S 1 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 100 1000000 256 18446744073709551615"
	s, err := parseStat("12 (a) b) ("+")"+tail, 4096)
	if err != nil || s.rss != 1<<20 || s.cpu != 2*time.Second {
		t.Errorf("%+v, %v", s, err)
	}
	for _, text := range []string{"", "12 (a)", "12 (a) S 1 2 3", strings.Replace("12 (a)"+tail, " 150 ", " x ", 1)} {
		if _, err := parseStat(text, 4096); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
