package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// write makes a configuration file.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "cloudretro.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func mustLoad(t *testing.T, src Sources) Config {
	t.Helper()
	cfg, err := Load(src)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

// problems loads what must be wrong.
func problems(t *testing.T, src Sources) Problems {
	t.Helper()
	_, err := Load(src)
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatalf("Load: error %v, want Problems", err)
	}
	return ps
}

func TestDefault(t *testing.T) {
	cfg, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"address":     cfg.Coordinator.Server.Address == ":8000",
		"coordinator": reflect.DeepEqual(cfg.Worker.Network.CoordinatorAddress, []string{"localhost:8000"}),
		"probe":       cfg.Worker.Server.Address == ":9000",
		"grace":       cfg.Worker.Rooms.Grace == 30*time.Second,
		"singlePort":  cfg.WebRTC.SinglePort == 8443,
		"scale":       cfg.Encoder.Video.Scale == 2,
		"crf":         cfg.Encoder.Video.H264.CRF == 20,
		"frame":       cfg.Encoder.Audio.Frame == 10*time.Millisecond,
		"listeners":   reflect.DeepEqual(cfg.Turn.Listeners, []Listener{{"udp", ":3478"}, {"tcp", ":3478"}}),
		"nes":         cfg.Emulator.Libretro.Cores.List["nes"].Lib == "nestopia_libretro",
		"nes players": cfg.Emulator.Libretro.Cores.List["nes"].Players == 2,
		"ops":         cfg.Ops.Address == ":9090",
		"library":     cfg.Library.BasePath == "./games",
	} {
		if !ok {
			t.Errorf("%s is not what the design says: %+v", name, cfg)
		}
	}
	if ps := cfg.validate(); len(ps) > 0 {
		t.Errorf("the default is not valid: %v", ps)
	}
}

// The embedded file documents every key: what the type knows stands there.
func TestDefaultNamesEveryKey(t *testing.T) {
	text := string(DefaultYAML())
	for _, key := range knownKeys("emulator.libretro.cores.list.nes.lib") {
		if name := lastName(key); !strings.Contains(text, name+":") && !strings.Contains(text, "#   "+name) && name != "0" {
			t.Errorf("default.yaml says nothing about %s", key)
		}
	}
}

func TestPrecedence(t *testing.T) {
	first := write(t, "webrtc: {singlePort: 1000}\nlog: {level: warn}\nworker: {network: {zone: eu}}")
	second := write(t, "webrtc: {singlePort: 2000}")
	env := []string{"CLOUDRETRO_WEBRTC_SINGLEPORT=3000", "HOME=/root", "CLOUDRETRO_LOG_FORMAT=json"}
	tests := []struct {
		name string
		src  Sources
		want int
	}{
		{"default", Sources{}, 8443},
		{"file", Sources{Files: []string{first}}, 1000},
		{"later file", Sources{Files: []string{first, second}}, 2000},
		{"environment", Sources{Files: []string{first, second}, Environ: env}, 3000},
		{"flag", Sources{Files: []string{first}, Environ: env, Set: []string{"webrtc.singlePort=4000"}}, 4000},
		{"later flag", Sources{Set: []string{"webrtc.singlePort=4000", "WebRTC.singleport=5000"}}, 5000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustLoad(t, tt.src).WebRTC.SinglePort; got != tt.want {
				t.Errorf("webrtc.singlePort = %d, want %d", got, tt.want)
			}
		})
	}
	cfg := mustLoad(t, Sources{Files: []string{first}, Environ: env})
	if cfg.Log != (Log{Level: "warn", Format: "json"}) || cfg.Worker.Network.Zone != "eu" || cfg.Worker.Server.Address != ":9000" {
		t.Errorf("layers do not add up: %+v %+v", cfg.Log, cfg.Worker)
	}
}

func TestEnvironmentValues(t *testing.T) {
	tests := []struct {
		env  string
		got  func(Config) any
		want any
	}{
		{"WORKER_NETWORK_COORDINATORADDRESS=a:1, b:2", func(c Config) any { return c.Worker.Network.CoordinatorAddress }, []string{"a:1", "b:2"}},
		{`WORKER_NETWORK_COORDINATORADDRESS=["a:1"]`, func(c Config) any { return c.Worker.Network.CoordinatorAddress }, []string{"a:1"}},
		{"WEBRTC_ICEIPMAP=", func(c Config) any { return c.WebRTC.ICEIPMap }, []string{}},
		{
			`WEBRTC_ICESERVERS=[{"urls":"stun:a","username":"u"},{"urls":["turn:b:1"],"username":"u","credential":"c"}]`,
			func(c Config) any { return c.WebRTC.ICEServers },
			[]ICEServer{{[]string{"stun:a"}, "u", ""}, {[]string{"turn:b:1"}, "u", "c"}},
		},
		{`TURN_LISTENERS=[{"protocol":"udp","address":"127.0.0.1:0"}]`, func(c Config) any { return c.Turn.Listeners }, []Listener{{"udp", "127.0.0.1:0"}}},
		{"ENCODER_AUDIO_FRAME=5ms", func(c Config) any { return c.Encoder.Audio.Frame }, 5 * time.Millisecond},
		{"ENCODER_AUDIO_FRAME=", func(c Config) any { return c.Encoder.Audio.Frame }, 10 * time.Millisecond},
		{"ENCODER_VIDEO_H264_CRF=18.5", func(c Config) any { return c.Encoder.Video.H264.CRF }, 18.5},
		{"COORDINATOR_SERVER={address: ':1'}", func(c Config) any { return c.Coordinator.Server.Address }, ":1"},
		{"OPS_ADDRESS=", func(c Config) any { return c.Ops.Address }, ""},
		{"EMULATOR_LIBRETRO_CORES_LIST_NES_LIB=fceumm", func(c Config) any { return c.Emulator.Libretro.Cores.List["nes"].Lib }, "fceumm"},
		{"EMULATOR_LIBRETRO_CORES_LIST_NES_LIB=fceumm", func(c Config) any { return c.Emulator.Libretro.Cores.List["nes"].Players }, 2},
		{
			"EMULATOR_LIBRETRO_CORES_LIST_NES_OPTIONS=a=b, C=d=e",
			func(c Config) any { return c.Emulator.Libretro.Cores.List["nes"].Options },
			map[string]string{"a": "b", "C": "d=e"},
		},
		{
			"EMULATOR_LIBRETRO_CORES_LIST_N64={lib: mupen64plus, roms: [n64], players: 4}",
			func(c Config) any { return c.Emulator.Libretro.Cores.List["n64"] },
			Core{Lib: "mupen64plus", Roms: []string{"n64"}, Players: 4},
		},
	}
	for _, tt := range tests {
		t.Run(tt.env, func(t *testing.T) {
			if got := tt.got(mustLoad(t, Sources{Environ: []string{"CLOUDRETRO_" + tt.env}})); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v, want %#v", got, tt.want)
			}
		})
	}
}

func TestOptionsMergeAndKeepCase(t *testing.T) {
	list := func(options string) string {
		return "emulator: {libretro: {cores: {list: {nes: {options: " + options + "}}}}}"
	}
	cfg := mustLoad(t, Sources{
		Files:   []string{write(t, list("{Frame-Duping: on, b: 1}")), write(t, list("{b: 2}"))},
		Environ: []string{"CLOUDRETRO_EMULATOR_LIBRETRO_CORES_LIST_NES_OPTIONS=c=3"},
	})
	want := map[string]string{"Frame-Duping": "on", "b": "2", "c": "3"}
	if got := cfg.Emulator.Libretro.Cores.List["nes"].Options; !reflect.DeepEqual(got, want) {
		t.Errorf("options = %v, want %v", got, want)
	}
}

func TestVariablesOfOthers(t *testing.T) {
	mustLoad(t, Sources{Environ: []string{
		"CLOUDRETRO_PORT=tcp://10.0.0.1:8000", "CLOUDRETRO_PORT_8000_TCP_ADDR=10.0.0.1", "CLOUDRETRO_PORT_8443_UDP=udp://10.0.0.1:8443",
		"CLOUDRETRO_SERVICE_HOST=10.0.0.1", "CLOUDRETRO_SERVICE_PORT_HTTP=8000", "CLOUDRETRO_WORKER_SERVICE_PORT=1",
		"CLOUDRETRO_TURN_PORT_3478_UDP_PROTO=udp", "CLOUDRETRO_TEST_GAMES=/games", "CLOUDRETRO_E2E=1", "CLOUDRETRO_CLUSTER=1", "OTHER_X=1",
	}})
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name string
		src  Sources
		want []string // each in the error's text, in this order
	}{
		{
			"unknown key",
			Sources{Files: []string{write(t, "\nworker:\n  network:\n    coordinatorAdress: a:1\n")}},
			[]string{"cloudretro.yaml:4", "worker.network.coordinatorAdress", "unknown key", "nearest", "worker.network.coordinatorAddress"},
		},
		{
			"key in the wrong section",
			Sources{Files: []string{write(t, "worker: {singlePort: 1}")}},
			[]string{"worker.singlePort", "webrtc.singlePort"},
		},
		{"unknown section", Sources{Files: []string{write(t, "workers: {}")}}, []string{"workers", "nearest known one is worker"}},
		{
			"unknown in a table",
			Sources{Files: []string{write(t, "emulator: {libretro: {cores: {list: {nes: {libs: x}}}}}")}},
			[]string{"list.nes.libs", "nearest", "list.nes.lib"},
		},
		{
			"unknown in a list",
			Sources{Files: []string{write(t, "webrtc: {iceServers: [{url: 'stun:a'}]}")}},
			[]string{"webrtc.iceServers.0.url", "webrtc.iceServers.0.urls"},
		},
		{
			"unknown variable",
			Sources{Environ: []string{"CLOUDRETRO_WORKER_NETWORK_COORDINATORADRESS=a:1"}},
			[]string{"CLOUDRETRO_WORKER_NETWORK_COORDINATORADRESS", "unknown variable", "CLOUDRETRO_WORKER_NETWORK_COORDINATORADDRESS"},
		},
		{"unknown flag key", Sources{Set: []string{"ops.adress=:1"}}, []string{"--set: ops.adress", "ops.address"}},
		{"no assignment", Sources{Set: []string{"ops.address"}}, []string{"--set: ops.address", "key=value"}},
		{
			"text for a number",
			Sources{Files: []string{write(t, "webrtc: {singlePort: http}")}},
			[]string{"cloudretro.yaml:1", "webrtc.singlePort", `"http"`, "whole number"},
		},
		{"fraction for a number", Sources{Set: []string{"webrtc.singlePort=1.5"}}, []string{"webrtc.singlePort", "whole number"}},
		{
			"number in the environment",
			Sources{Environ: []string{"CLOUDRETRO_ENCODER_VIDEO_H264_CRF=low"}},
			[]string{"environment CLOUDRETRO_ENCODER_VIDEO_H264_CRF", "encoder.video.h264.crf", `"low"`, "a number"},
		},
		{"duration without a unit", Sources{Set: []string{"encoder.audio.frame=10"}}, []string{"encoder.audio.frame", `"10"`, "10ms"}},
		{"switch", Sources{Set: []string{"coordinator.server.https=maybe"}}, []string{"coordinator.server.https", "true or false"}},
		{"mapping for a text", Sources{Files: []string{write(t, "log: {level: {a: b}}")}}, []string{"log.level", "a mapping", "a text"}},
		{"text for a section", Sources{Files: []string{write(t, "log: loud")}}, []string{"log", `"loud"`, "level, format"}},
		{"text for a list", Sources{Files: []string{write(t, "turn: {listeners: x}")}}, []string{"turn.listeners", "a list is expected"}},
		{"mapping for a list", Sources{Files: []string{write(t, "turn: {listeners: {}}")}}, []string{"turn.listeners", "a mapping", "list"}},
		{"list for a table", Sources{Files: []string{write(t, "emulator: {libretro: {cores: {list: [1]}}}")}}, []string{"cores.list", "a list", "mapping"}},
		{"list at the top", Sources{Files: []string{write(t, "[1, 2]")}}, []string{"a list", "coordinator"}},
		{"options", Sources{Set: []string{"emulator.libretro.cores.list.nes.options=x"}}, []string{"options", `"x"`, "name=text"}},
		{"bad name", Sources{Files: []string{write(t, "emulator: {libretro: {cores: {list: {N_S: {}}}}}")}}, []string{"cores.list", `"N_S"`, "a-z"}},
		{"brackets", Sources{Environ: []string{"CLOUDRETRO_TURN_LISTENERS=[{"}}, []string{"CLOUDRETRO_TURN_LISTENERS", "turn.listeners", "brackets"}},
		{"twice", Sources{Files: []string{write(t, "log: {level: info, Level: warn}")}}, []string{"log.Level", "twice"}},
		{"alias", Sources{Files: []string{write(t, "log: &a {level: info}\nops: *a\n")}}, []string{"ops", "aliases"}},
		{"no YAML", Sources{Files: []string{write(t, "a: [")}}, []string{"cloudretro.yaml", "YAML"}},
		{"two documents", Sources{Files: []string{write(t, "log: {}\n---\nlog: {}\n")}}, []string{"second document"}},
		{"no file", Sources{Files: []string{"/nowhere/x.yaml"}}, []string{"/nowhere/x.yaml", "no such file", "--config"}},
		{"folder as a file", Sources{Files: []string{os.TempDir()}}, []string{os.TempDir(), "name a YAML file"}},
		{"large file", Sources{Files: []string{write(t, strings.Repeat("#", maxFile+1))}}, []string{"larger than 1024 KiB"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := problems(t, tt.src).Error()
			rest := text
			for _, want := range tt.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("error does not say %q (in this order):\n%s", want, text)
				}
				rest = after
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	ps := problems(t, Sources{
		Files:   []string{write(t, "wrong: 1\nwebrtc: {singlePort: 70000}\n")},
		Environ: []string{"CLOUDRETRO_LOG_LEVEL=loud", "CLOUDRETRO_NOPE_NOPE=1"},
		Set:     []string{"encoder.video.scale=two"},
	})
	if len(ps) != 5 {
		t.Errorf("%d problems, want 5: %v", len(ps), ps)
	}
}

func TestEmptyFilesAndNullChangeNothing(t *testing.T) {
	want := mustLoad(t, Sources{})
	got := mustLoad(t, Sources{Files: []string{write(t, ""), write(t, "# nothing\n"), write(t, "webrtc:\n  iceIpMap:\nworker: ~\n")}})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestFilePermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("SKIPPED: root may read everything")
	}
	name := write(t, "log: {}")
	if err := os.Chmod(name, 0); err != nil {
		t.Fatal(err)
	}
	if text := problems(t, Sources{Files: []string{name}}).Error(); !strings.Contains(text, "chmod") {
		t.Errorf("no remedy in %q", text)
	}
}

func TestNearest(t *testing.T) {
	tests := []struct{ key, want string }{
		{"webrtc.singelPort", "webrtc.singlePort"},
		{"basePath", "library.basePath"},
		{"coordinator.server.adress", "coordinator.server.address"},
		{"encoder.h264.crf", "encoder.video.h264.crf"},
		{"secret.worker", "secrets.worker"},
	}
	for _, tt := range tests {
		if got := nearest(tt.key, knownKeys(tt.key)); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.key, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"abc", "acb", 2}}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzLoad: no file, variable or flag breaks Load, and what it accepts is
// valid, prints, and reads back to the same.
func FuzzLoad(f *testing.F) {
	f.Add(string(DefaultYAML()), "", "")
	f.Add("webrtc: {singlePort: 1, iceServers: [{urls: 'stun:a'}]}", "WEBRTC_SINGLEPORT=1", "log.level=warn")
	f.Add("emulator: {libretro: {cores: {list: {nes: {options: {A: b}}}}}}", "TURN_LISTENERS=[]", "turn.peers=10.0.0.1:1")
	f.Add("a: &x [*x]", "=", "=")
	f.Add("? {a: b}\n: c", "A_B={", ".=.")
	f.Add("<<: {log: {}}", "EMULATOR_LIBRETRO_CORES_LIST_X={}", "emulator.libretro.cores.list.x.lib=a")
	f.Add("log: {level: !!binary aGk=}", "ENCODER_VIDEO_H264_CRF=NaN", "encoder.audio.frame=9999999h")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, file, env, set string) {
		name := filepath.Join(dir, "fuzz.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		src := Sources{Files: []string{name}}
		if env != "" {
			src.Environ = []string{"CLOUDRETRO_" + env}
		}
		if set != "" {
			src.Set = []string{set}
		}
		cfg, err := Load(src)
		if err != nil {
			return
		}
		text, err := cfg.YAML()
		if err != nil {
			t.Fatalf("YAML: %v", err)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Load(Sources{Files: []string{name}})
		if err != nil {
			t.Fatalf("what YAML wrote is refused: %v\n%s", err, text)
		}
		if back, err := again.YAML(); err != nil || string(back) != string(text) {
			t.Fatalf("what YAML wrote reads back differently (%v):\n%s\n%s", err, text, back)
		}
	})
}
