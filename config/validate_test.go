package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestRanges(t *testing.T) {
	tests := []struct{ set, key, want string }{
		{"coordinator.server.address=8000", "coordinator.server.address", `"8000"`},
		{"coordinator.server.address=:99999", "coordinator.server.address", ":8000"},
		{"coordinator.server.https=true", "coordinator.server.https", "httpsCert"},
		{"coordinator.server.tls.address=443", "coordinator.server.tls.address", "host:port"},
		{"coordinator.server.tls.redirectPort=65536", "coordinator.server.tls.redirectPort", "65535"},
		{"coordinator.server.tls.hsts=-1s", "coordinator.server.tls.hsts", "0s"},
		{"coordinator.server.tls.domain=https://play.example.org", "coordinator.server.tls.domain", "play.example.org"},
		{"coordinator.server.tls.acme.domains=*.example.org", "coordinator.server.tls.acme.domains.0", "wildcard"},
		{"coordinator.server.tls.acme.email=me", "coordinator.server.tls.acme.email", "me@example.org"},
		{"coordinator.server.tls.acme.directoryURL=http://a/b", "coordinator.server.tls.acme.directoryURL", "https://"},
		{"coordinator.origins=play.example.org", "coordinator.origins.0", "https://"},
		{"coordinator.origins=https://a/b", "coordinator.origins.0", "no origin"},
		{"worker.server.address=x", "worker.server.address", "host:port"},
		{"worker.network.coordinatorAddress=", "worker.network.coordinatorAddress", "empty"},
		{"worker.network.coordinatorAddress=localhost", "worker.network.coordinatorAddress.0", "localhost:8000"},
		{"worker.network.coordinatorAddress=:8000", "worker.network.coordinatorAddress.0", "host:port"},
		{"worker.network.coordinatorAddress=ftp://a", "worker.network.coordinatorAddress.0", "wss"},
		{"worker.network.publicAddress=http://a", "worker.network.publicAddress", "without scheme"},
		{"worker.network.zone=EU west", "worker.network.zone", "a-z"},
		{"worker.rooms.max=-1", "worker.rooms.max", "out of range"},
		{"worker.rooms.grace=48h", "worker.rooms.grace", "24h"},
		{"webrtc.singlePort=70000", "webrtc.singlePort", "65535"},
		{"webrtc.iceIpMap=1.2.3.4/x", "webrtc.iceIpMap.0", "public/private"},
		{"webrtc.iceServers=[{urls: []}]", "webrtc.iceServers.0.urls", "empty"},
		{"webrtc.iceServers=[{urls: 'http://a'}]", "webrtc.iceServers.0.urls.0", "stun:"},
		{"webrtc.iceServers=[{urls: 'turn:a'}]", "webrtc.iceServers.0", "credential"},
		{"encoder.video.codec=vp8", "encoder.video.codec", "h264"},
		{"encoder.video.scale=0", "encoder.video.scale", "1 to 4"},
		{"encoder.video.h264.library=nvenc", "encoder.video.h264.library", "openh264"},
		{"encoder.video.h264.crf=NaN", "encoder.video.h264.crf", "out of range"},
		{"encoder.video.h264.profile=extended", "encoder.video.h264.profile", "baseline"},
		{"encoder.video.h264.maxBitrate=1", "encoder.video.h264.maxBitrate", "out of range"},
		{"encoder.audio.frame=7ms", "encoder.audio.frame", "5ms"},
		{"encoder.audio.bitrate=1", "encoder.audio.bitrate", "6000"},
		{"encoder.audio.complexity=11", "encoder.audio.complexity", "1 to 10"},
		{"turn.listeners=[{protocol: udp}]", "turn.listeners.0.address", "host:port"},
		{"turn.publicAddress=a:1", "turn.publicAddress", "port"},
		{"turn.relayAddress=nonsense", "turn.relayAddress.0", "no IP address"},
		{"turn.relayAddress=192.0.2.1,192.0.2.2", "turn.relayAddress.1", "at most one"},
		{"turn.tls.cert=/x", "turn.tls", "turn.tls.key"},
		{`turn.users=[{"username":"a:b","password":"p"}]`, "turn.users.0.username", "without ':'"},
		{`turn.users=[{"username":"a"}]`, "turn.users.0.password", "set one"},
		{`turn.users=[{"username":"a","password":"p"},{"username":"a","password":"q"}]`, "turn.users.1.username", "twice"},
		{"turn.maxBandwidth=10", "turn.maxBandwidth", "100000"},
		{"turn.drainGrace=-1s", "turn.drainGrace", "0s"},
		{"turn.sockets=65", "turn.sockets", "64"},
		{"turn.listeners=[{protocol: sctp, address: ':1'}]", "turn.listeners.0.protocol", "dtls"},
		{"turn.realm=", "turn.realm", "characters"},
		{"turn.credentialTTL=1s", "turn.credentialTTL", "1m0s"},
		{"turn.maxAllocations=0", "turn.maxAllocations", "out of range"},
		{"turn.maxPerUser=0", "turn.maxPerUser", "out of range"},
		{"turn.coordinatorAddress=a", "turn.coordinatorAddress.0", "host:port"},
		{"secrets.worker=short", "secrets.worker", "openssl rand -hex 32"},
		{"secrets.turn=short", "secrets.turn.0", "openssl rand -hex 32"},
		{"ops.address=9090", "ops.address", "host:port"},
		{"log.level=loud", "log.level", "warn"},
		{"log.format=xml", "log.format", "json"},
		{"emulator.libretro.cores.list.nes.lib=", "emulator.libretro.cores.list.nes.lib", "empty"},
		{"emulator.libretro.cores.list.nes.roms=", "emulator.libretro.cores.list.nes.roms", "empty"},
		{"emulator.libretro.cores.list.nes.roms=.NES", "emulator.libretro.cores.list.nes.roms.0", "without its dot"},
		{"emulator.libretro.cores.list.nes.folder=../x", "emulator.libretro.cores.list.nes.folder", "under library.basePath"},
		{"emulator.libretro.cores.list.nes.players=9", "emulator.libretro.cores.list.nes.players", "1 to 8"},
		{"emulator.libretro.cores.list.nes.scale=9", "emulator.libretro.cores.list.nes.scale", "0 to 4"},
	}
	for _, tt := range tests {
		t.Run(tt.set, func(t *testing.T) {
			ps := problems(t, Sources{Set: []string{tt.set}})
			if len(ps) != 1 || ps[0].Key != tt.key || !strings.Contains(ps[0].Text, tt.want) {
				t.Errorf("problems %v, want one of %s that says %q", ps, tt.key, tt.want)
			}
		})
	}
}

func TestGoodValues(t *testing.T) {
	mustLoad(t, Sources{Set: []string{
		"coordinator.server.address=[::1]:0", "coordinator.origins=https://a,*", "worker.network.publicAddress=2001:db8::1",
		"worker.network.coordinatorAddress=[::1]:80,wss://a/b,http://c", "webrtc.iceIpMap=1.2.3.4/10.0.0.1,5.6.7.8", "webrtc.singlePort=0",
		"ops.address=", "turn.listeners=", "turn.publicAddress=turn.example.org", "turn.relayAddress=1.2.3.4,2001:db8::1", "secrets.worker=0123456789abcdef",
		"webrtc.iceServers=[{urls: ['turns:a:1?transport=tcp'], username: u, credential: c}]",
	}})
}

func TestSecretsAreNeverNamed(t *testing.T) {
	const secret = "s3cr3t-and-so-on"
	tests := map[string]Sources{
		"short":   {Set: []string{"secrets.worker=" + secret[:8], "secrets.turn=" + secret[:7]}},
		"mapping": {Files: []string{write(t, "secrets: {worker: {"+secret+": "+secret+"}}")}},
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			if text := problems(t, src).Error(); strings.Contains(text, secret[:7]) {
				t.Errorf("the error tells the secret: %s", text)
			}
		})
	}
}

func TestMasked(t *testing.T) {
	cfg := mustLoad(t, Sources{Set: []string{
		"secrets.worker=0123456789abcdef0", "secrets.turn=0123456789abcdef1,0123456789abcdef2",
		"turn.users=[{username: user-1, password: hidden-too}]", "webrtc.iceServers=[{urls: 'turn:a', username: u, credential: hidden}]",
	}})
	text, err := cfg.Masked().YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "0123456789abcdef") || strings.Contains(string(text), "hidden") {
		t.Errorf("a secret shows:\n%s", text)
	}
	for _, want := range []string{"worker: '***'", "credential: '***'", "username: u", "    - '***'\n", "password: '***'", "username: user-1"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if cfg.Secrets.Worker != "0123456789abcdef0" || cfg.WebRTC.ICEServers[0].Credential != "hidden" ||
		cfg.Secrets.Turn[1] != "0123456789abcdef2" || cfg.Turn.Users[0].Password != "hidden-too" {
		t.Error("Masked changed the original")
	}
}

func TestYAMLReadsBack(t *testing.T) {
	want := mustLoad(t, Sources{Set: []string{"encoder.audio.frame=5ms", "emulator.libretro.cores.list.nes.options=A=b"}})
	text, err := want.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, Sources{Files: []string{write(t, string(text))}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestDefaultLibraryMayBeMissing(t *testing.T) {
	t.Chdir(t.TempDir())
	cfg := mustLoad(t, Sources{})
	if cfg.Library.BasePath != defaultLibrary {
		t.Errorf("library.basePath = %q, want %q", cfg.Library.BasePath, defaultLibrary)
	}
	if err := cfg.CheckFolders(); err != nil {
		t.Errorf("CheckFolders: %v", err)
	}
	if err := os.WriteFile("games", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cfg.CheckFolders(); err == nil {
		t.Error("a file in the place of the default library is not noticed")
	}
}

func TestCheckFolders(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"none", "", ""},
		{"there", dir, ""},
		{"missing", filepath.Join(dir, "missing"), "does not exist; create it"},
		{"a file", file, "is no folder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := mustLoad(t, Sources{Set: []string{"library.basePath=" + tt.path}})
			err := cfg.CheckFolders()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("CheckFolders: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), "library.basePath") || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("CheckFolders: %v, want one that names library.basePath and says %q", err, tt.want)
			}
		})
	}
}
