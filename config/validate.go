package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds that more than one place knows.
const (
	minSecret    = 16 // characters
	maxListeners = 16 // as signal.MaxURLs
	maxPlayers   = 8  // as signal.MaxPlayers
	maxScale     = 4  // as the core process allows
)

// validator collects what is out of range.
type validator struct {
	problems Problems
}

// validate returns everything that is out of range.
func (c Config) validate() Problems {
	var v validator
	v.roles(c)
	v.media(c)
	v.turn(c.Turn)
	v.emulator(c.Emulator.Libretro.Cores)
	v.secret("secrets.worker", c.Secrets.Worker)
	for i, s := range c.Secrets.Turn {
		v.secret(index("secrets.turn", i), s)
	}
	v.secret("secrets.session", c.Secrets.Session)
	v.kubernetes(c.Kubernetes)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	return v.problems
}

func (v *validator) roles(c Config) {
	v.address("coordinator.server.address", c.Coordinator.Server.Address)
	v.https(c.Coordinator.Server)
	for i, origin := range c.Coordinator.Origins {
		v.origin(index("coordinator.origins", i), origin)
	}
	v.door(c.Coordinator)
	v.address("worker.server.address", c.Worker.Server.Address)
	v.peers("worker.network.coordinatorAddress", c.Worker.Network.CoordinatorAddress)
	v.host("worker.network.publicAddress", c.Worker.Network.PublicAddress)
	v.probe("worker.network.probeAddress", c.Worker.Network.ProbeAddress)
	if zone := c.Worker.Network.Zone; zone != "" && !validName(zone) {
		v.add("worker.network.zone", "%q; 1 to 32 of a-z, 0-9 and - are allowed", zone)
	}
	between(v, "worker.rooms.max", c.Worker.Rooms.Max, 0, 1000)
	between(v, "worker.rooms.grace", c.Worker.Rooms.Grace, 0, 24*time.Hour)
	between(v, "worker.rooms.lateLimit", c.Worker.Rooms.LateLimit, 1, 1000)
	between(v, "worker.rooms.drainGrace", c.Worker.Rooms.DrainGrace, 0, 24*time.Hour)
	if c.Ops.Address != "" {
		v.address("ops.address", c.Ops.Address)
	}
}

func (v *validator) media(c Config) {
	between(v, "webrtc.singlePort", c.WebRTC.SinglePort, 0, 65535)
	for i, server := range c.WebRTC.ICEServers {
		v.iceServer(index("webrtc.iceServers", i), server)
	}
	for i, entry := range c.WebRTC.ICEIPMap {
		for ip := range strings.SplitSeq(entry, "/") {
			if _, err := netip.ParseAddr(ip); err != nil {
				v.add(index("webrtc.iceIpMap", i), "%q is no IP address and no pair public/private of them", entry)
				break
			}
		}
	}
	video, audio := c.Encoder.Video, c.Encoder.Audio
	v.oneOf("encoder.video.codec", video.Codec, "h264")
	between(v, "encoder.video.scale", video.Scale, 1, maxScale)
	v.oneOf("encoder.video.h264.library", video.H264.Library, "auto", "x264", "openh264")
	between(v, "encoder.video.h264.crf", video.H264.CRF, 1, 51)
	v.oneOf("encoder.video.h264.profile", video.H264.Profile, "baseline", "main")
	between(v, "encoder.video.h264.maxBitrate", video.H264.MaxBitrate, 100_000, 200_000_000)
	frames := []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond}
	if !slices.Contains(frames, audio.Frame) {
		v.add("encoder.audio.frame", "%v is no length of an Opus packet here; choose 5ms, 10ms or 20ms", audio.Frame)
	}
	between(v, "encoder.audio.bitrate", audio.Bitrate, 6_000, 510_000)
	between(v, "encoder.audio.complexity", audio.Complexity, 1, 10)
}

func (v *validator) turn(t Turn) {
	for i, l := range t.Listeners {
		key := index("turn.listeners", i)
		v.oneOf(key+".protocol", l.Protocol, "udp", "tcp", "tls", "dtls")
		v.address(key+".address", l.Address)
	}
	if len(t.Listeners) > maxListeners {
		v.add("turn.listeners", "has %d entries; give at most %d", len(t.Listeners), maxListeners)
	}
	v.host("turn.publicAddress", t.PublicAddress)
	v.relayAddress(t.RelayAddress)
	if (t.TLS.Cert == "") != (t.TLS.Key == "") {
		v.add("turn.tls", "names only one file; set turn.tls.cert and turn.tls.key, or neither for a self-made certificate")
	}
	v.users(t.Users)
	between(v, "turn.sockets", t.Sockets, 0, 64)
	between(v, "turn.maxAllocations", t.MaxAllocations, 1, 60_000)
	between(v, "turn.maxPerUser", t.MaxPerUser, 1, 60_000)
	between(v, "turn.maxPerAddress", t.MaxPerAddress, 0, 60_000)
	if t.MaxBandwidth != 0 {
		between(v, "turn.maxBandwidth", t.MaxBandwidth, 100_000, 100_000_000_000)
	}
	between(v, "turn.drainGrace", t.DrainGrace, 0, 24*time.Hour)
	if t.Realm == "" || len(t.Realm) > 128 || strings.ContainsAny(t.Realm, "\"\\\r\n\x00") {
		v.add("turn.realm", "%q; 1 to 128 characters without quotes are allowed", t.Realm)
	}
	between(v, "turn.credentialTTL", t.CredentialTTL, time.Minute, 24*time.Hour)
	if len(t.CoordinatorAddress) > 0 {
		v.peers("turn.coordinatorAddress", t.CoordinatorAddress)
	}
}

// relayAddress checks the addresses of relayed sockets, one of a family.
func (v *validator) relayAddress(list []string) {
	families := map[bool]bool{}
	for i, text := range list {
		ip, err := netip.ParseAddr(text)
		ip = ip.Unmap()
		switch key := index("turn.relayAddress", i); {
		case err != nil || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "":
			v.add(key, "%q is no IP address of one host", text)
		case families[ip.Is6()]:
			v.add(key, "%q is a second address of its family; give at most one IPv4 and one IPv6 address", text)
		}
		families[ip.Is6()] = true
	}
}

// users checks the static users of the gate, without ever naming a password.
func (v *validator) users(list []User) {
	seen := map[string]bool{}
	for i, u := range list {
		key := index("turn.users", i)
		switch {
		case u.Username == "" || len(u.Username) > 128 || strings.ContainsFunc(u.Username, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }):
			v.add(key+".username", "%q; 1 to 128 printable characters without ':' are allowed", u.Username)
		case seen[u.Username]:
			v.add(key+".username", "%q stands here twice; keep one", u.Username)
		case u.Password == "":
			v.add(key+".password", "is empty; set one")
		}
		seen[u.Username] = true
	}
}

func (v *validator) emulator(cores Cores) {
	for name, core := range cores.List {
		key := "emulator.libretro.cores.list." + name
		if core.Lib == "" {
			v.add(key+".lib", "is empty; name the core's file, like nestopia_libretro")
		}
		if len(core.Roms) == 0 && core.Folder == "" {
			v.add(key+".roms", "is empty; name the extensions that this core plays")
		}
		for i, ext := range core.Roms {
			if !validName(ext) {
				v.add(index(key+".roms", i), "%q; write an extension in lower case without its dot", ext)
			}
		}
		if strings.Contains(core.Folder, "..") || strings.HasPrefix(core.Folder, "/") {
			v.add(key+".folder", "%q; name a folder under library.basePath", core.Folder)
		}
		between(v, key+".players", core.Players, 1, maxPlayers)
		between(v, key+".scale", core.Scale, 0, maxScale)
	}
	slices.SortFunc(v.problems, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
}

func (v *validator) iceServer(key string, s ICEServer) {
	if len(s.URLs) == 0 {
		v.add(key+".urls", "is empty; name at least one, like stun:stun.example.org:3478")
	}
	for i, text := range s.URLs {
		scheme, rest, _ := strings.Cut(text, ":")
		if rest == "" || !slices.Contains([]string{"stun", "stuns", "turn", "turns"}, scheme) {
			v.add(index(key+".urls", i), "%q does not begin with stun:, stuns:, turn: or turns: and a host", text)
			continue
		}
		if strings.HasPrefix(scheme, "turn") && (s.Username == "" || s.Credential == "") {
			v.add(key, "a turn server needs username and credential; browsers refuse it without")
		}
	}
}

// peers checks a list of addresses to dial, at least one.
func (v *validator) peers(key string, addresses []string) {
	if len(addresses) == 0 {
		v.add(key, "is empty; name the coordinator's host:port")
	}
	for i, address := range addresses {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			if !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) {
				v.add(index(key, i), "%q; of URLs http, https, ws and wss are understood", address)
			}
			continue
		}
		host, port, err := net.SplitHostPort(address)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || host == "" || n < 1 || n > 65535 {
			v.add(index(key, i), "%q is not of the form host:port, like localhost:8000", address)
		}
	}
}

// address checks an address to listen on.
func (v *validator) address(key, address string) {
	_, port, err := net.SplitHostPort(address)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		v.add(key, "%q is not of the form :port or host:port, like :8000", address)
	}
}

// host checks an IP address or a host name; "" is fine.
func (v *validator) host(key, host string) {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return
	}
	if len(host) > 253 || strings.ContainsAny(host, " :/@?#,") {
		v.add(key, "%q is no IP address or host name; write it without scheme and port", host)
	}
}

func (v *validator) origin(key, origin string) {
	u, err := url.Parse(origin)
	if origin == "*" {
		return
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		v.add(key, "%q is no origin; write scheme and host only, like https://play.example.org", origin)
	}
}

// secret checks a secret without ever naming it.
func (v *validator) secret(key, secret string) {
	if secret != "" && len(secret) < minSecret {
		v.add(key, "has only %d characters of at least %d; make one with: openssl rand -hex 32", len(secret), minSecret)
	}
}

func (v *validator) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		v.add(key, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
}

func (v *validator) add(key, format string, args ...any) {
	v.problems = append(v.problems, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

// between checks lo <= value <= hi.
func between[T cmp.Ordered](v *validator, key string, value, lo, hi T) {
	if !(value >= lo && value <= hi) { // NaN is not between either
		v.add(key, "%v is out of range; choose %v to %v", value, lo, hi)
	}
}

func index(key string, i int) string { return key + "." + strconv.Itoa(i) }

// Folders of default.yaml that may be missing.
const (
	defaultLibrary = "./games" // library.basePath
	defaultStorage = "./saves" // emulator.storage
)

// CheckFolders reads the folders that a worker needs. The error is of type
// Problems. That a folder which is so by
// default is missing is none.
func (c Config) CheckFolders() error {
	return checkFolders(map[string]string{
		"library.basePath": c.Library.BasePath, "emulator.storage": c.Emulator.Storage, systemKey: c.Emulator.Libretro.Cores.Paths.System,
	})
}

const systemKey = "emulator.libretro.cores.paths.system"

// CheckSystem is CheckFolders for the one folder that may change while a worker
// runs (see Live).
func (c Config) CheckSystem() error {
	return checkFolders(map[string]string{systemKey: c.Emulator.Libretro.Cores.Paths.System})
}

func checkFolders(folders map[string]string) error {
	var v validator
	for key, name := range folders {
		if name == "" {
			continue
		}
		_, err := os.ReadDir(name)
		mayBeMissing := name == defaultLibrary || name == defaultStorage
		if err != nil && !(mayBeMissing && errors.Is(err, fs.ErrNotExist)) {
			v.add(key, "%q %s", name, folderRemedy(name, err))
		}
	}
	slices.SortFunc(v.problems, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return v.problems.asError()
}

// folderRemedy says what is wrong with a folder and what helps.
func folderRemedy(name string, err error) string {
	info, statErr := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist; create it, or leave the key empty"
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("may not be read by user %d; give it the right to (chmod, chown)", os.Getuid())
	case statErr == nil && !info.IsDir():
		return "is no folder; name the folder that holds the files"
	}
	return fmt.Sprintf("cannot be read: %v", err)
}
