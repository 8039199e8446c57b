package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func loaded(t *testing.T, set ...string) Config {
	t.Helper()
	cfg, err := Load(Sources{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestAdopt(t *testing.T) {
	running := loaded(t, "library.basePath=/games")
	tests := []struct {
		name         string
		set          []string
		taken, stale []string
	}{
		{"nothing", nil, nil, nil},
		{"live ones", []string{
			"coordinator.limits.pages=7", "coordinator.server.drainGrace=5s", "worker.rooms.max=3", "log.level=debug", "turn.maxPerUser=1",
			"webrtc.iceServers=[{urls: ['stun:stun.example.org:3478']}]", "emulator.libretro.cores.list.nes.scale=3", "encoder.video.h264.crf=30",
			"kubernetes.scaler.freeSeats=4", "secrets.turn=0123456789abcdef0",
		}, []string{
			"coordinator.server.drainGrace", "coordinator.limits.pages", "worker.rooms.max", "webrtc.iceServers", "emulator.libretro.cores.list",
			"encoder.video.h264.crf", "turn.maxPerUser", "secrets.turn", "kubernetes.scaler.freeSeats", "log.level",
		}, nil},
		{
			"others",
			[]string{"coordinator.server.address=:1", "worker.network.zone=eu", "log.format=json", "secrets.worker=0123456789abcdef0"},
			nil,
			[]string{"coordinator.server.address", "worker.network.zone", "secrets.worker", "log.format"},
		},
		{"both", []string{"log.access=true", "turn.realm=other"}, []string{"log.access"}, []string{"turn.realm"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next := loaded(t, append(tt.set, "library.basePath=/games")...)
			merged, taken, stale := Adopt(running, next)
			if !slices.Equal(taken, tt.taken) || !slices.Equal(stale, tt.stale) {
				t.Errorf("taken %q, stale %q; want %q and %q", taken, stale, tt.taken, tt.stale)
			}
			if got := Changed(running, merged); !slices.Equal(got, tt.taken) {
				t.Errorf("the outcome differs in %q", got)
			}
			if _, again, _ := Adopt(merged, next); len(again) != 0 {
				t.Errorf("a second time %q are taken", again)
			}
		})
	}
	if running.Worker.Rooms.Max != 0 || running.Log.Level != "info" || running.Emulator.Libretro.Cores.List["nes"].Scale != 0 {
		t.Error("what runs was written to")
	}
	if running.Worker.Rooms.Grace != 30*time.Second {
		t.Errorf("the grace is %v", running.Worker.Rooms.Grace)
	}
}

// The head of default.yaml names the live keys, all of them and no other.
func TestLiveKeysAreDocumented(t *testing.T) {
	head, _, _ := strings.Cut(string(DefaultYAML()), "\n\n")
	_, list, ok := strings.Cut(head, "which need a restart:\n")
	if !ok {
		t.Fatal("the head of default.yaml does not name the keys that are taken while a process runs")
	}
	list = regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(list, "")
	var told []string
	for field := range strings.FieldsSeq(list) {
		if field != "#" {
			told = append(told, field)
		}
	}
	live := Live()
	slices.Sort(told)
	slices.Sort(live)
	if !slices.Equal(told, live) {
		t.Errorf("default.yaml tells of\n%q, live are\n%q", told, live)
	}
	for _, key := range live {
		if _, ok := resolve(strings.Split(key, ".")); !ok {
			t.Errorf("%s is no key", key)
		}
	}
	if reflect.DeepEqual(live, knownKeys("")) {
		t.Error("everything is live")
	}
}
