package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/webrtc/v3"
)

// Timeouts of ICE. Between the second and the third a browser whose network
// changed can come back with a new offer.
const (
	iceKeepalive    = 2 * time.Second
	iceDisconnected = 5 * time.Second
	iceFailed       = 20 * time.Second // after disconnected
)

// nackPackets is how many sent packets of a viewer are kept for resending,
// about two seconds of video. A power of two.
const nackPackets = 512

// sctpReceiveBuffer bounds what a browser may have in flight on the data channels.
const sctpReceiveBuffer = 256 << 10 // bytes

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
}

// certificateRest is what a certificate must still last for to be given to one
// more browser. pion makes them for a month and takes none that has expired.
const certificateRest = 7 * 24 * time.Hour

// Listener is what all browsers of a worker share: the media port, the
// certificate, the codecs. Its methods may be called from any goroutine.
type Listener struct {
	log    *slog.Logger
	api    *webrtc.API
	mux    *ice.MultiUDPMuxDefault
	own    []netip.AddrPort
	mapped []netip.Addr
	port   int

	mu   sync.Mutex
	cert *webrtc.Certificate // renewed by certificate
}

// Listen binds the media port. A returned error wraps the one of the net
// package if the port cannot be had. pion reads the sockets from now on; Close
// ends that.
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
	conns, err := listenUDP(cfg.Logger, addrs, cfg.Port)
	if err != nil {
		return nil, fmt.Errorf("open media port: %w", err)
	}
	l := &Listener{log: cfg.Logger, mapped: mapped, cert: cert}
	l.mux = l.newMux(conns)
	if l.api, err = l.newAPI(); err != nil {
		_ = l.mux.Close()
		return nil, err
	}
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

// newCertificate makes the DTLS identity of the worker; one for all peers saves
// making a key per viewer, and an ECDSA one is what browsers shake hands with fastest.
func newCertificate() (*webrtc.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make DTLS key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("make DTLS certificate: %w", err)
	}
	return cert, nil
}

// configuration is what one more browser's PeerConnection is made with. A
// worker that has run for weeks gets a new certificate here; browsers that play
// keep theirs.
func (l *Listener) configuration(now time.Time) (webrtc.Configuration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cert.Expires().Sub(now) < certificateRest {
		cert, err := newCertificate()
		if err != nil {
			return webrtc.Configuration{}, err
		}
		l.cert = cert
	}
	return webrtc.Configuration{
		Certificates: []webrtc.Certificate{*l.cert}, BundlePolicy: webrtc.BundlePolicyMaxBundle,
	}, nil
}

func (l *Listener) newMux(conns []*net.UDPConn) *ice.MultiUDPMuxDefault {
	muxes := make([]ice.UDPMux, 0, len(conns))
	for _, conn := range conns {
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{
			Logger:  pionLogs{l.log}.NewLogger("mux"),
			UDPConn: conn,
		}))
		addr := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		l.port = int(addr.Port())
		l.own = append(l.own, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))
	}
	return ice.NewMultiUDPMuxDefault(muxes...)
}

func (l *Listener) newAPI() (*webrtc.API, error) {
	media, err := newMediaEngine()
	if err != nil {
		return nil, err
	}
	interceptors, err := newInterceptors(l.log)
	if err != nil {
		return nil, err
	}
	s := webrtc.SettingEngine{LoggerFactory: pionLogs{l.log}}
	s.SetICEUDPMux(l.mux)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetICETimeouts(iceDisconnected, iceFailed, iceKeepalive)
	s.SetHostAcceptanceMinWait(0)
	s.SetSrflxAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	s.SetRelayAcceptanceMinWait(0)
	s.DisableActiveTCP(true)
	s.DetachDataChannels() // see Peer.read
	s.SetSCTPMaxReceiveBufferSize(sctpReceiveBuffer)
	s.SetDTLSRetransmissionInterval(200 * time.Millisecond)
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors),
		webrtc.WithSettingEngine(s)), nil
}

// newInterceptors answers NACKs and sends sender reports. Nothing is received
// but RTCP, so nothing else is needed.
func newInterceptors(log *slog.Logger) (*interceptor.Registry, error) {
	responder, err := nack.NewResponderInterceptor(nack.ResponderSize(nackPackets),
		nack.ResponderLog(pionLogs{log}.NewLogger("nack")))
	if err != nil {
		return nil, fmt.Errorf("make NACK responder: %w", err)
	}
	reports, err := report.NewSenderInterceptor(report.SenderLog(pionLogs{log}.NewLogger("report")))
	if err != nil {
		return nil, fmt.Errorf("make sender reports: %w", err)
	}
	r := &interceptor.Registry{}
	r.Add(responder)
	r.Add(reports)
	return r, nil
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

// Close frees the port. Peers must be closed before.
func (l *Listener) Close() error {
	if err := l.mux.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close media port: %w", err)
	}
	return nil
}
