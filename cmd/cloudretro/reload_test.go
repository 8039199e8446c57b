package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// greeted is what a coordinator tells a page, or the status of its refusal.
func greeted(t *testing.T, address string) (signal.Hello, int) {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+address+"/ws", nil)
	if err != nil {
		if response == nil {
			t.Fatal(err)
		}
		return signal.Hello{}, response.StatusCode
	}
	defer conn.Close()
	_, data, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	e, err := signal.Decode(data, signal.MaxInternal)
	if err != nil {
		t.Fatal(err)
	}
	return told[signal.Hello](t, e), response.StatusCode
}

// mounted is a folder as the kubelet makes it for a ConfigMap.
type mounted struct {
	t       *testing.T
	dir     string
	version int
}

// set changes what is mounted, at once.
func (m *mounted) set(text string) (file string) {
	m.t.Helper()
	m.version++
	folder := "..v" + string(rune('a'+m.version))
	must := func(err error) {
		if err != nil && !errors.Is(err, os.ErrExist) {
			m.t.Fatal(err)
		}
	}
	file = filepath.Join(m.dir, "config.yaml")
	must(os.Mkdir(filepath.Join(m.dir, folder), 0o700))
	must(os.WriteFile(filepath.Join(m.dir, folder, "config.yaml"), []byte(text), 0o600))
	must(os.Symlink(folder, filepath.Join(m.dir, "..tmp")))
	must(os.Rename(filepath.Join(m.dir, "..tmp"), filepath.Join(m.dir, "..data")))
	must(os.Symlink(filepath.Join("..data", "config.yaml"), file))
	return file
}

// A ConfigMap that is edited is in force soon, in all roles; one that is wrong
// changes nothing and says where; what needs a restart is named; what is set
// besides files counts more.
func TestConfigMapIsPickedUp(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	core := filepath.Join(t.TempDir(), "x_libretro.so")
	if err := os.WriteFile(core, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := &mounted{t: t, dir: t.TempDir()}
	file, ops := m.set("worker: {rooms: {max: 3}}\n"), freePort(t)
	p := startProcess(t, quiet("--config", file, "--set", "ops.address="+ops, "--set", "library.basePath=", "--set", "turn.maxPerUser=5",
		"--set", "emulator.libretro.cores.paths.libs="+t.TempDir())...)
	page := address(t, p)
	awaitText(t, ops, "/metrics", "cloudretro_worker_places 3")
	if hello, _ := greeted(t, page); slices.ContainsFunc(hello.ICEServers, func(s signal.ICEServer) bool { return strings.HasPrefix(s.URLs[0], "stun:") }) {
		t.Fatalf("told of %+v", hello.ICEServers)
	}

	m.set(`
webrtc: {iceServers: [{urls: ["stun:stun.example.org:3478"]}]}
worker: {rooms: {max: 5}, network: {zone: eu}}
turn: {maxPerUser: 1}
emulator: {libretro: {cores: {list: {nes: {lib: ` + core + `}}}}}
log: {level: debug}
`)
	awaitText(t, ops, "/metrics", "cloudretro_worker_places 5")
	eventually(t, "the news in the log", func() bool { return strings.Contains(p.log(), "need") || strings.Contains(p.log(), "before a restart") })
	for _, want := range []string{
		"configuration taken", "webrtc.iceServers", "worker.rooms.max", "emulator.libretro.cores.list", "log.level",
		`before a restart" keys=[worker.network.zone]`,
	} {
		if !strings.Contains(p.log(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if strings.Contains(p.log(), "turn.maxPerUser") {
		t.Error("the file counts more than --set")
	}
	hello, _ := greeted(t, page)
	if !slices.ContainsFunc(hello.ICEServers, func(s signal.ICEServer) bool { return s.URLs[0] == "stun:stun.example.org:3478" }) {
		t.Errorf("a page is told of %+v", hello.ICEServers)
	}
	eventually(t, "the games of the core", func() bool {
		_, text := get(t, "http://"+page+"/api/games")
		return strings.Contains(text, `"nes"`)
	})
	eventually(t, "debug in the log", func() bool { return strings.Contains(p.log(), "level=DEBUG") })

	m.set("coordinator: {limits: {pages: none}}\nnonsense: 1\n")
	eventually(t, "the complaint", func() bool { return strings.Contains(p.log(), "configuration not taken") })
	for _, want := range []string{"coordinator.limits.pages", "nonsense"} {
		if !strings.Contains(p.log(), want) {
			t.Errorf("the complaint does not name %s", want)
		}
	}
	awaitText(t, ops, "/metrics", `cloudretro_config_reloads_total{result="refused"} 1`)
	awaitText(t, ops, "/metrics", "cloudretro_worker_places 5")

	m.set("worker: {rooms: {max: 4}}\n")
	awaitText(t, ops, "/metrics", "cloudretro_worker_places 4")
	awaitText(t, ops, "/metrics", `cloudretro_config_reloads_total{result="taken"} 2`)
	if n := strings.Count(p.log(), "configuration not taken"); n != 1 {
		t.Errorf("a mistake is told %d times:\n%s", n, p.log())
	}
	if hello, _ := greeted(t, page); slices.ContainsFunc(hello.ICEServers, func(s signal.ICEServer) bool { return s.URLs[0] == "stun:stun.example.org:3478" }) {
		t.Errorf("what was taken out is told: %+v", hello.ICEServers)
	}
}

// Each key that is live reaches its role, or is taken by the process itself.
func TestLiveKeysReachTheRoles(t *testing.T) {
	const secret = "secrets.worker=0123456789abcdef0"
	given := map[string]string{
		"coordinator.server.drainGrace": "7s", "coordinator.origins": "https://o", "coordinator.alternates": "https://a",
		"coordinator.trustedProxies": "10.1.2.3", "coordinator.limits": "{pages: 1}", "worker.rooms": "{max: 1, grace: 1s, lateLimit: 1, drainGrace: 1s}",
		"webrtc.iceServers": "[{urls: ['stun:s.example.org']}]", "emulator.libretro.cores": "{list: {nes: {scale: 3}}}",
		"encoder": "{video: {scale: 3}}", "turn.users": "[{username: u, password: p}]", "turn.peers": "192.0.2.1", "turn.credentialTTL": "7m",
		"turn.maxAllocations": "7", "turn.maxPerUser": "7", "turn.maxPerAddress": "7", "turn.maxBandwidth": "700000", "turn.drainGrace": "7s",
		"secrets.turn": "0123456789abcdef7",
	}
	elsewhere := []string{"kubernetes.scaler", "log.level"} // see scaler_test.go and TestConfigMapIsPickedUp
	given["log.access"] = "true"
	if told := slices.Sorted(maps.Keys(given)); !slices.Equal(slices.Sorted(slices.Values(append(told, elsewhere...))), slices.Sorted(slices.Values(config.Live()))) {
		t.Errorf("%q are tested, %q are live", told, config.Live())
	}
	h := &house{roles: roles{coordinator: true, turn: true}}
	roleConfigs := func(cfg config.Config) []string {
		gate, err := h.gateConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		worker := workerConfig(cfg)
		worker.SaveDir = ""
		door := h.doorConfig(cfg)
		return []string{fmt.Sprintf("%+v", gate), fmt.Sprintf("%+v", worker), fmt.Sprintf("%+v", door)}
	}
	before := roleConfigs(defaults(t, secret))
	for key, value := range given {
		prefix := key + "="
		if slices.Equal(before, roleConfigs(liveOnly(t, secret, prefix+value))) {
			t.Errorf("%s reaches no role", key)
		}
	}
}

// liveOnly is the defaults with what of set may change while a process runs.
func liveOnly(t *testing.T, set ...string) config.Config {
	t.Helper()
	merged, taken, _ := config.Adopt(defaults(t, set[0]), defaults(t, set...))
	if len(taken) == 0 {
		t.Errorf("%s: not taken", set[1])
	}
	return merged
}

// reloading is a house of coordinator and gate, and what it is told to read.
func reloading(t *testing.T, next func() (config.Config, error), set ...string) (h *house, log *clustertest.Log, again func()) {
	t.Helper()
	log = &clustertest.Log{}
	set = append([]string{
		"secrets.worker=0123456789abcdef0", "turn.listeners=[{protocol: tcp, address: '127.0.0.1:0'}]", "ops.address=",
		"coordinator.server.address=127.0.0.1:0",
	}, set...)
	h, end := runHouse(t, defaults(t, set...), roles{coordinator: true, turn: true}, log)
	signals, done := make(chan os.Signal), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- h.reload(ctx, &hangup{signal: signals, load: next}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		end()
		http.DefaultClient.CloseIdleConnections()
	})
	return h, log, func() { signals <- syscall.SIGHUP }
}

// On SIGHUP a limit is in force at once, and nothing is said twice.
func TestReload(t *testing.T) {
	base := []string{
		"secrets.worker=0123456789abcdef0", "turn.listeners=[{protocol: tcp, address: '127.0.0.1:0'}]", "ops.address=",
		"coordinator.server.address=127.0.0.1:0",
	}
	var mu sync.Mutex
	var more []string
	var fails error
	var loads atomic.Int64
	h, log, again := reloading(t, func() (config.Config, error) {
		defer loads.Add(1)
		mu.Lock()
		defer mu.Unlock()
		return defaults(t, append(base, more...)...), fails
	})
	to := func(err error, set ...string) {
		mu.Lock()
		more, fails = set, err
		mu.Unlock()
		before := loads.Load()
		again()
		eventually(t, "it to be read", func() bool { return loads.Load() > before })
	}
	page := strings.TrimPrefix(h.page, "http://")
	to(nil)
	to(nil, "coordinator.limits.requestsPerMinute=7", "turn.realm=other", "coordinator.alternates=https://b.example.org")
	to(nil, "coordinator.limits.requestsPerMinute=7", "turn.realm=other", "coordinator.alternates=https://b.example.org")
	to(errors.New("it is broken"))
	to(nil, "turn.realm=other") // taken only after the one before was dealt with
	eventually(t, "all to be read", func() bool { return h.reloaded.taken.Load() == 2 })
	text := log.String()
	for want, n := range map[string]int{
		"nothing has changed": 1, "configuration taken": 2, "it is broken": 1, "before a restart": 1, "turn.realm": 1, "coordinator.limits.requestsPerMinute": 2,
	} {
		if got := strings.Count(text, want); got != n {
			t.Errorf("%q stands %d times in the log, want %d:\n%s", want, got, n, text)
		}
	}
	to(nil, "coordinator.alternates=https://c.example.org", "turn.drainGrace=90s", "log.level=error")
	eventually(t, "the next", func() bool { return h.reloaded.taken.Load() == 3 })
	eventually(t, "the level", func() bool { return h.level.Level() == slog.LevelError })
	if hello, _ := greeted(t, page); !slices.Equal(hello.Alternates, []string{"https://c.example.org"}) {
		t.Errorf("a page is told of %q", hello.Alternates)
	}
	if got := h.patience(); got != patience+90*time.Second {
		t.Errorf("waits %v at the end", got)
	}
	if values := gathered(t, []prometheus.Collector{reloadMetrics(&h.reloaded)}); values["cloudretro_config_taken_timestamp_seconds"] < 1e9 {
		t.Errorf("metrics %v", values)
	}
}

// If one role refuses, the others go on with what they had.
func TestRefusedByARole(t *testing.T) {
	var took []int
	h := &house{log: slog.New(slog.DiscardHandler), cfg: config.Config{}, level: &slog.LevelVar{}}
	h.reloads = append(h.reloads,
		func(next config.Config) error { took = append(took, next.Worker.Rooms.Max); return nil },
		func(next config.Config) error {
			if next.Worker.Rooms.Max == 7 {
				return errors.New("not with me")
			}
			return nil
		})
	next := config.Config{}
	next.Worker.Rooms.Max = 7
	load := func() (config.Config, error) { return next, nil }
	if !h.adopt(load) || !slices.Equal(took, []int{7, 0}) || h.current().Worker.Rooms.Max != 0 || h.reloaded.refused.Load() != 1 {
		t.Errorf("took %v, in force %+v", took, h.current().Worker.Rooms)
	}
	next.Worker.Rooms.Max = 8
	if !h.adopt(load) || h.current().Worker.Rooms.Max != 8 {
		t.Errorf("in force %+v", h.current().Worker.Rooms)
	}
}

// Secrets that the process got itself stay its own; one that is taken out of the
// files is out.
func TestOwnSecretsStay(t *testing.T) {
	h := &house{}
	h.cfg.Secrets = config.Secrets{Worker: "random", Session: "cluster", Turn: []string{"cluster"}}
	if got := h.withOwnSecrets(config.Config{}).Secrets; got.Worker != "random" || got.Session != "cluster" || !slices.Equal(got.Turn, []string{"cluster"}) {
		t.Errorf("got %+v", got)
	}
	h.set.Secrets.Turn, h.cfg.Secrets.Turn = []string{"file"}, []string{"file"}
	if got := h.withOwnSecrets(config.Config{}).Secrets.Turn; len(got) != 0 {
		t.Errorf("still %q", got)
	}
}
