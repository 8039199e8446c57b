package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/pion/ice/v2"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// Config is what a Listener needs.
type Config struct {
	Logger *slog.Logger // required

	// Address restricts media to one IP of this host; "" serves all of them, loopback included.
	Address string
	// Port is the UDP port of all media; 0 takes a free one.
	Port int
	// IPMap lists public addresses that are forwarded to this host, one to one,
	// with the same port: "public" or "public/local". They are announced beside
	// the host's own addresses, so that play inside the network goes on.
	IPMap []string

	// Fault, for tests, makes segmented sends fail; see batch.Config.
	Fault func(segments int) error
}

// Options are what one peer has of its own.
type Options struct {
	// Video is the codec of the room's pictures; 0 = H264.
	Video packetize.Codec
	// SRTP is the one profile that is offered; 0 = AEADAES128GCM. A browser that
	// does not know that (ErrSRTP) takes AES128CMHMACSHA180.
	SRTP seal.Profile
}

func (o Options) complete() Options {
	if o.Video == 0 {
		o.Video = packetize.H264
	}
	if o.SRTP == 0 {
		o.SRTP = seal.AEADAES128GCM
	}
	return o
}

// Listener is what all browsers of a worker share: the media port, the
// certificate, the codecs. Its methods may be called from any goroutine.
type Listener struct {
	log    *slog.Logger
	conns  []*batch.Conn // one for each address of this host
	mux    *ice.MultiUDPMuxDefault
	own    []netip.AddrPort
	mapped []netip.Addr
	port   int
	keysOf func(t *webrtc.DTLSTransport, client bool) (srtpKeys, error)

	mu      sync.Mutex
	engines map[packetize.Codec]*webrtc.MediaEngine
	cert    *webrtc.Certificate // renewed by configuration
}

// Listen binds the media port. A returned error wraps the one of the kernel if
// the port cannot be had. pion reads the sockets from now on; Close ends that.
func Listen(cfg Config) (*Listener, error) {
	mapped, err := parseIPMap(cfg.IPMap)
	if err != nil {
		return nil, err
	}
	addrs, err := listenAddrs(cfg.Address)
	if err != nil {
		return nil, err
	}
	cert, err := newCertificate()
	if err != nil {
		return nil, err
	}
	conns, err := listenUDP(batch.Config{
		Logger: cfg.Logger, ReadBuffer: readBuffer, WriteBuffer: writeBuffer, Fault: cfg.Fault,
	}, addrs, cfg.Port)
	if err != nil {
		return nil, fmt.Errorf("open media port: %w", err)
	}
	l := &Listener{log: cfg.Logger, conns: conns, mapped: mapped, keysOf: localKeys, cert: cert, engines: map[packetize.Codec]*webrtc.MediaEngine{}}
	for _, conn := range conns {
		l.own = append(l.own, conn.AddrPort())
	}
	l.port = int(l.own[0].Port())
	l.mux = newMux(cfg.Logger, conns)
	return l, nil
}

func listenAddrs(address string) ([]netip.Addr, error) {
	if address == "" {
		return hostAddrs()
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil, fmt.Errorf("media address %q is no IP address; leave it empty to serve all interfaces: %w", address, err)
	}
	if ip.IsUnspecified() {
		return hostAddrs()
	}
	return []netip.Addr{ip}, nil
}

// parseIPMap takes the public side of each entry.
func parseIPMap(entries []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, e := range entries {
		for i, part := range strings.SplitN(e, "/", 2) {
			ip, err := netip.ParseAddr(strings.TrimSpace(part))
			if err != nil {
				return nil, fmt.Errorf("public address %q: want an IP, or public/local: %w", e, err)
			}
			if i == 0 && !slices.Contains(out, ip) {
				out = append(out, ip)
			}
		}
	}
	return out, nil
}

// newMux lets pion share the sockets among all peers.
func newMux(log *slog.Logger, conns []*batch.Conn) *ice.MultiUDPMuxDefault {
	muxes := make([]ice.UDPMux, 0, len(conns))
	for _, conn := range conns {
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{Logger: pionLogs{log}.NewLogger("mux"), UDPConn: &probed{Conn: conn}}))
	}
	return ice.NewMultiUDPMuxDefault(muxes...)
}

// conn is the socket with a local address, nil if none has it.
func (l *Listener) conn(local netip.AddrPort) *batch.Conn {
	for i, a := range l.own {
		if a == local {
			return l.conns[i]
		}
	}
	return nil
}

// Addrs are the addresses where media can be reached: the host's own ones and
// the public ones that are mapped to it.
func (l *Listener) Addrs() []netip.AddrPort {
	out := slices.Clone(l.own)
	for _, ip := range l.mapped {
		if a := netip.AddrPortFrom(ip, uint16(l.port)); !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// Port is the UDP port of all media.
func (l *Listener) Port() int { return l.port }

// Sockets are the counters of each socket, of Addrs' own ones in that order.
func (l *Listener) Sockets() []batch.Stats {
	out := make([]batch.Stats, 0, len(l.conns))
	for _, c := range l.conns {
		out = append(out, c.Stats())
	}
	return out
}

// Close frees the port. Peers must be closed before.
func (l *Listener) Close() error {
	if err := l.mux.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close media port: %w", err)
	}
	return nil
}
