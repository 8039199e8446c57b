// Package config is the configuration of every role: one typed tree, its
// defaults, and how files, the environment and flags are laid over them.
//
// The embedded default.yaml is at once the defaults and the documentation of
// every key. Load reports everything that is wrong in one error, each line
// with the key, the value and what to do about it.
package config

import (
	_ "embed"
	"time"
)

// Config is the whole tree. It is a value: copy it, never share a pointer. The
// slices and maps in it are read-only once Load has returned.
type Config struct {
	Coordinator Coordinator `yaml:"coordinator"`
	Worker      Worker      `yaml:"worker"`
	WebRTC      WebRTC      `yaml:"webrtc"`
	Library     Library     `yaml:"library"`
	Emulator    Emulator    `yaml:"emulator"`
	Encoder     Encoder     `yaml:"encoder" live:"true"`
	Turn        Turn        `yaml:"turn"`
	Secrets     Secrets     `yaml:"secrets"`
	Kubernetes  Kubernetes  `yaml:"kubernetes"`
	Ops         Ops         `yaml:"ops"`
	Log         Log         `yaml:"log"`
}

// Server is a listening TCP socket.
type Server struct {
	Address string `yaml:"address"` // [host]:port
}

// Coordinator is the door: page, API and WebSockets.
type Coordinator struct {
	Server         Page     `yaml:"server"`
	Origins        []string `yaml:"origins" live:"true"`        // further origins whose pages may open the WebSocket
	Alternates     []string `yaml:"alternates" live:"true"`     // origins of this same site that pages turn to when this one is silent
	TrustedProxies []string `yaml:"trustedProxies" live:"true"` // networks and addresses whose X-Forwarded-* is believed
	SignIn         SignIn   `yaml:"signIn"`
	Limits         Limits   `yaml:"limits" live:"true"`
}

// Worker is the house: the role that owns rooms.
type Worker struct {
	Name    string  `yaml:"name"` // "" = the host's name
	Network Network `yaml:"network"`
	Server  Server  `yaml:"server"` // the latency probe
	Rooms   Rooms   `yaml:"rooms" live:"true"`
}

// Network is how a worker meets the other roles and the browsers.
type Network struct {
	CoordinatorAddress []string `yaml:"coordinatorAddress"` // host:port or URL of every coordinator
	PublicAddress      string   `yaml:"publicAddress"`      // IP or host name that browsers reach, "" = each local one
	ProbeAddress       string   `yaml:"probeAddress"`       // URL by which browsers measure the way to the zone, "" = the worker's own probe
	Zone               string   `yaml:"zone"`
}

// Rooms bounds what one worker runs.
type Rooms struct {
	Max        int           `yaml:"max"`        // rooms at once, 0 = two for each CPU
	Grace      time.Duration `yaml:"grace"`      // how long a room outlives its last viewer
	LateLimit  int           `yaml:"lateLimit"`  // frames of a second that may begin late, per mille, before no game starts here
	DrainGrace time.Duration `yaml:"drainGrace"` // how long a worker that is told to end waits for its games
}

// WebRTC is the media side of a worker.
type WebRTC struct {
	SinglePort int         `yaml:"singlePort"`             // UDP port of all media; 0 = any free one
	ICEServers []ICEServer `yaml:"iceServers" live:"true"` // given to pages beside our own gates
	ICEIPMap   []string    `yaml:"iceIpMap"`               // 1:1 NAT, "public" or "public/private"
}

// ICEServer is an entry of RTCConfiguration.iceServers.
type ICEServer struct {
	URLs       []string `yaml:"urls"`
	Username   string   `yaml:"username,omitempty"`
	Credential string   `yaml:"credential,omitempty" secret:"true"`
}

// Library is the folder of games.
type Library struct {
	BasePath string `yaml:"basePath"` // "" = the built-in games alone
}

// Emulator is what runs a game.
type Emulator struct {
	Storage  string   `yaml:"storage"` // folder of what games save
	Libretro Libretro `yaml:"libretro"`
}

// Libretro is the libretro side of Emulator.
type Libretro struct {
	Cores Cores `yaml:"cores" live:"true"`
}

// Cores says where cores lie and what each plays.
type Cores struct {
	Paths CorePaths       `yaml:"paths"`
	List  map[string]Core `yaml:"list"` // by system
}

// CorePaths are the folders that cores need.
type CorePaths struct {
	Libs   []string `yaml:"libs"`   // searched in order; empty = where distributions put them
	System string   `yaml:"system"` // BIOS files, "" = none
}

// Core is a row of the table system -> core.
type Core struct {
	Lib     string            `yaml:"lib"`     // file name without .so in Paths.Libs, or a path
	Roms    []string          `yaml:"roms"`    // extensions without the dot
	Folder  string            `yaml:"folder"`  // folder under Library.BasePath whose files are of this system, "" = named like the system
	Players int               `yaml:"players"` // seats, 1..8
	Scale   int               `yaml:"scale"`   // 0 = Encoder.Video.Scale
	Options map[string]string `yaml:"options,omitempty"`
}

// Encoder is picture and sound.
type Encoder struct {
	Video Video `yaml:"video"`
	Audio Audio `yaml:"audio"`
}

// Video is the picture's encoder.
type Video struct {
	Codec string `yaml:"codec"` // h264
	Scale int    `yaml:"scale"` // whole factor, nearest neighbour
	H264  H264   `yaml:"h264"`
}

// H264 tunes the H.264 encoder.
type H264 struct {
	Library    string  `yaml:"library"`    // auto, x264 or openh264
	CRF        float64 `yaml:"crf"`        // constant quality, smaller is better
	Profile    string  `yaml:"profile"`    // highest one offered: baseline or main
	MaxBitrate int     `yaml:"maxBitrate"` // bit/s
}

// Audio is the sound's encoder, Opus.
type Audio struct {
	Frame      time.Duration `yaml:"frame"`
	Bitrate    int           `yaml:"bitrate"` // bit/s
	Complexity int           `yaml:"complexity"`
}

// Turn is the gate: a TURN server that relays to workers only.
type Turn struct {
	Listeners          []Listener    `yaml:"listeners"`
	PublicAddress      string        `yaml:"publicAddress"` // "" = where the browser found the coordinator
	RelayAddress       []string      `yaml:"relayAddress"`  // announced for relayed sockets, one IPv4 and one IPv6 at most, empty = this machine's
	TLS                Certificate   `yaml:"tls"`           // of listeners with TLS or DTLS
	Sockets            int           `yaml:"sockets"`       // of each UDP listener, 0 = one for each CPU
	Realm              string        `yaml:"realm"`
	Users              []User        `yaml:"users" live:"true"` // static ones
	Peers              []string      `yaml:"peers" live:"true"` // further addresses that may be relayed to, as turn.ParsePeer reads them
	CredentialTTL      time.Duration `yaml:"credentialTTL" live:"true"`
	MaxAllocations     int           `yaml:"maxAllocations" live:"true"`
	MaxPerUser         int           `yaml:"maxPerUser" live:"true"`    // allocations of one minted credential
	MaxPerAddress      int           `yaml:"maxPerAddress" live:"true"` // allocations of one client's address, 0 = no bound
	MaxBandwidth       int           `yaml:"maxBandwidth" live:"true"`  // bit/s of one allocation, 0 = no bound
	DrainGrace         time.Duration `yaml:"drainGrace" live:"true"`    // how long a gate that is told to end waits for its relays
	CoordinatorAddress []string      `yaml:"coordinatorAddress"`        // empty = Worker.Network.CoordinatorAddress
}

// Listener is one socket of the gate.
type Listener struct {
	Protocol string `yaml:"protocol"` // udp, tcp, tls or dtls
	Address  string `yaml:"address"`  // [host]:port
}

// Certificate names the files of a certificate; both or none.
type Certificate struct {
	Cert string `yaml:"cert"` // PEM, with the chain
	Key  string `yaml:"key"`  // PEM
}

// User is a static user of the gate.
type User struct {
	Username string `yaml:"username"`
	Password string `yaml:"password" secret:"true"`
}

// Secrets are what roles prove themselves with.
type Secrets struct {
	Worker  string   `yaml:"worker" secret:"true"`
	Turn    []string `yaml:"turn" secret:"true" live:"true"` // the newest first, empty = derived from Worker
	Session string   `yaml:"session" secret:"true"`          // "" = derived from Worker
}

// Ops is the operators' door.
type Ops struct {
	Address string `yaml:"address"` // [host]:port, "" = off
	PProf   bool   `yaml:"pprof"`   // profiles at /debug/pprof/
}

// Log is what goes to standard error.
type Log struct {
	Level  string `yaml:"level" live:"true"`  // debug, info, warn or error
	Format string `yaml:"format"`             // text or json
	Access bool   `yaml:"access" live:"true"` // a line for each request to the coordinator
}

//go:embed default.yaml
var defaultYAML []byte

// DefaultYAML is the commented default configuration. The caller owns the copy.
func DefaultYAML() []byte { return append([]byte(nil), defaultYAML...) }
