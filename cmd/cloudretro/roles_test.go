package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
)

// Every key of a worker reaches the role: none is there for show.
func TestWorkerConfig(t *testing.T) {
	saves := t.TempDir()
	cfg := workerConfig(defaults(t,
		"secrets.worker=0123456789abcdef0", "worker.name=attic", "worker.network.zone=eu", "worker.network.publicAddress=192.0.2.1",
		"worker.network.coordinatorAddress=a:1,b:2", "worker.server.address=:1", "worker.rooms.max=3", "worker.rooms.grace=7s",
		"worker.network.probeAddress=https://eu.example.org/echo", "worker.rooms.drainGrace=8s", "worker.rooms.lateLimit=9",
		"webrtc.singlePort=5", "webrtc.iceIpMap=192.0.2.2", "library.basePath=/games", "emulator.storage="+saves,
		"emulator.libretro.cores.paths.libs=/cores", "emulator.libretro.cores.paths.system=/bios",
		"emulator.libretro.cores.list.nes.options=a=b", "emulator.libretro.cores.list.nes.scale=3", "emulator.libretro.cores.list.nes.folder=famicom",
		"encoder.video.scale=1", "encoder.video.h264.library=openh264", "encoder.video.h264.crf=30", "encoder.video.h264.profile=baseline",
		"encoder.video.h264.maxBitrate=1000000", "encoder.audio.frame=20ms", "encoder.audio.bitrate=64000", "encoder.audio.complexity=1",
	))
	for name, pair := range map[string][2]any{
		"coordinators": {cfg.Coordinators, []string{"a:1", "b:2"}},
		"secret":       {cfg.Secret, "0123456789abcdef0"},
		"names":        {[]string{cfg.Name, cfg.Zone, cfg.PublicAddress, cfg.ProbeAddress}, []string{"attic", "eu", "192.0.2.1", ":1"}},
		"rooms":        {cfg.MaxRooms, 3},
		"graces":       {[]time.Duration{cfg.RoomGrace, cfg.DrainGrace}, []time.Duration{7 * time.Second, 8 * time.Second}},
		"probe":        {cfg.ProbeURL, "https://eu.example.org/echo"},
		"late":         {cfg.LateLimit, 9},
		"media":        {cfg.MediaPort, 5},
		"map":          {cfg.IPMap, []string{"192.0.2.2"}},
		"folders":      {[]string{cfg.LibraryPath, cfg.SystemDir, cfg.SaveDir, cfg.CoreDirs[0]}, []string{"/games", "/bios", saves, "/cores"}},
		"video": {cfg.Video, engine.VideoSpec{
			Codec: "h264", Library: "openh264", Scale: 1, CRF: 30, MaxBitrate: 1_000_000, Profile: media.ProfileBaseline,
		}},
		"audio": {cfg.Audio, engine.AudioSpec{Frame: 20 * time.Millisecond, Bitrate: 64_000, Complexity: 1}},
		"nes": {cfg.Cores[3], library.Core{
			System: "nes", Lib: "nestopia_libretro", Extensions: []string{"nes", "fds", "unf", "unif"}, Folder: "famicom",
			Players: 2, Scale: 3, Options: map[string]string{"a": "b"},
		}},
		"systems": {len(cfg.Cores), 8},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %+v, want %+v", name, pair[0], pair[1])
		}
	}
}

func TestMissingStorageIsNoFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if cfg := workerConfig(defaults(t)); cfg.SaveDir != "" {
		t.Errorf("SaveDir = %q for a folder that is missing", cfg.SaveDir)
	}
}

func TestGateWithoutListeners(t *testing.T) {
	none := defaults(t, "turn.listeners=", "secrets.worker=0123456789abcdef0", "ops.address=")
	if _, err := build(t.Context(), none, roles{turn: true}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "turn.listeners is empty") {
		t.Errorf("role turn alone without listeners: %v", err)
	}
	h := &house{cfg: none, roles: everyRole()}
	if err := h.addGate(); err != nil || len(h.parts) != 0 {
		t.Errorf("all roles without listeners: %v, %d parts", err, len(h.parts))
	}
}

// What has been bound is released when a later role cannot be built.
func TestFailedBuildReleasesItsPorts(t *testing.T) {
	taken := busyTCP(t)
	cfg := defaults(t, "coordinator.server.address=127.0.0.1:0", "turn.listeners=[{protocol: udp, address: '127.0.0.1:0'}]",
		"secrets.worker=0123456789abcdef0", "ops.address="+taken)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	if _, err := build(t.Context(), cfg, roles{coordinator: true, turn: true}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "ops.address") {
		t.Fatalf("build: %v", err)
	}
}

// runHouse runs roles until the returned function is called.
func runHouse(t *testing.T, cfg config.Config, r roles, log io.Writer) (h *house, end func()) {
	t.Helper()
	h, err := build(t.Context(), cfg, r, newLogger(log, cfg.Log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- supervise(ctx, h.parts, soon, h.log) }()
	return h, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%+v ended with %v", r, err)
		}
	}
}

// Three houses with one role each, as three processes would be: the secret is
// all that they share.
func TestSplitRoles(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Chdir(t.TempDir())
	const secret = "secrets.worker=0123456789abcdef0123"
	var log bytes.Buffer // of the coordinator alone
	door, endDoor := runHouse(t, defaults(t, secret, "coordinator.server.address=127.0.0.1:0", "ops.address="), roles{coordinator: true}, &log)
	_, endGate := runHouse(t, defaults(t, secret, "turn.listeners=[{protocol: udp, address: '127.0.0.1:0'}]",
		"turn.coordinatorAddress="+door.page, "ops.address="), roles{turn: true}, io.Discard)
	house, endWorker := runHouse(t, defaults(t, secret, "worker.network.coordinatorAddress="+door.page, "library.basePath=", "webrtc.singlePort=0",
		"worker.server.address=127.0.0.1:0", "ops.address=127.0.0.1:0"), roles{worker: true}, io.Discard)

	awaitGames(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, door.page)
	for _, c := range house.checks {
		if err := c.ready(); err != nil {
			t.Errorf("%s is not ready: %v", c.name, err)
		}
	}
	values := gathered(t, house.metrics)
	if values["cloudretro_worker_coordinators"] != 1 || values["cloudretro_worker_games"] < 1 || values["cloudretro_worker_rooms"] != 0 {
		t.Errorf("metrics of the worker: %v", values)
	}
	if line := house.welcome(); !strings.HasPrefix(line, "CloudRetro worker plays over UDP :") {
		t.Errorf("greeting of the worker: %q", line)
	}
	endWorker()
	if err := house.checks[0].ready(); err == nil {
		t.Error("a worker that has ended calls itself ready")
	}
	endGate()
	endDoor()
	if !strings.Contains(log.String(), "worker joined") || !strings.Contains(log.String(), "gate joined") {
		t.Errorf("the coordinator does not tell who joined:\n%s", &log)
	}
}

// Two coordinators and a worker that joins both: each lists its games, knows it
// to be the same, and the end of one is not noticed at the other.
func TestTwoCoordinators(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Chdir(t.TempDir())
	const secret = "secrets.worker=0123456789abcdef0123"
	var doors [2]*house
	var end [2]func()
	for i := range doors {
		doors[i], end[i] = runHouse(t, defaults(t, secret, "coordinator.server.address=127.0.0.1:0", "ops.address="), roles{coordinator: true}, io.Discard)
	}
	w, endWorker := runHouse(t, defaults(t, secret, "worker.network.coordinatorAddress="+doors[0].page+","+doors[1].page, "library.basePath=", "webrtc.singlePort=0",
		"worker.server.address=127.0.0.1:0", "ops.address="), roles{worker: true}, io.Discard)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, d := range doors {
		awaitGames(t, client, d.page)
		if n := gathered(t, d.metrics)["cloudretro_coordinator_places"]; n < 1 {
			t.Errorf("%s knows of %v places", d.page, n)
		}
	}
	end[0]()
	awaitGames(t, client, doors[1].page)
	for tries := 0; gathered(t, w.metrics)["cloudretro_worker_coordinators"] != 1; tries++ {
		if tries == 1000 {
			t.Fatal("the worker does not notice that a coordinator has ended")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := w.checks[0].ready(); err != nil {
		t.Errorf("not ready with one coordinator of two: %v", err)
	}
	endWorker()
	end[1]()
}

// gathered are the gauges without labels as a scrape would show them.
func gathered(t *testing.T, roles []prometheus.Collector) map[string]float64 {
	t.Helper()
	registry, err := newRegistry(roles)
	if err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetGauge() != nil && len(m.GetLabel()) == 0 {
				out[f.GetName()] = m.GetGauge().GetValue()
			}
		}
	}
	return out
}

func TestLogger(t *testing.T) {
	tests := []struct {
		cfg  config.Log
		want string
	}{
		{config.Log{Level: "info", Format: "text"}, "level=INFO msg=heard n=1\n"},
		{config.Log{Level: "warn", Format: "text"}, ""},
		{config.Log{Level: "debug", Format: "json"}, `"level":"INFO","msg":"heard","n":1}` + "\n"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		newLogger(&out, tt.cfg).Info("heard", "n", 1)
		if !strings.HasSuffix(out.String(), tt.want) || tt.want == "" && out.Len() > 0 {
			t.Errorf("%+v wrote %q, want %q", tt.cfg, out.String(), tt.want)
		}
	}
}
