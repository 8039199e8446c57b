package main

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v3"
	"github.com/pion/webrtc/v3/pkg/media"
)

// Kernel buffers of every media socket here.
const (
	readBuffer  = 1 << 20 // bytes
	writeBuffer = 4 << 20 // bytes
)

// baseline is pion as it comes: WriteSample on a static track, the default
// interceptors and transport-wide sequence numbers, one UDP socket for all.
type baseline struct {
	api   *webrtc.API
	conn  *countingConn
	track *webrtc.TrackLocalStaticSample
	all   connections
}

var _ path = (*baseline)(nil)

func newBaseline(ip string) (*baseline, error) {
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	_ = udp.SetReadBuffer(readBuffer)
	_ = udp.SetWriteBuffer(writeBuffer)
	b := &baseline{conn: &countingConn{UDPConn: udp}}
	settings := newSettings(b.conn, ip)
	settings.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM)
	m, interceptors := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, fmt.Errorf("register codecs: %w", err)
	}
	if err := webrtc.RegisterDefaultInterceptors(m, interceptors); err != nil {
		return nil, fmt.Errorf("register interceptors: %w", err)
	}
	if err := webrtc.ConfigureTWCCHeaderExtensionSender(m, interceptors); err != nil {
		return nil, fmt.Errorf("register TWCC: %w", err)
	}
	b.api = webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(settings), webrtc.WithInterceptorRegistry(interceptors))
	b.track, err = webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: h264Format,
	}, "video", "game")
	if err != nil {
		return nil, fmt.Errorf("make track: %w", err)
	}
	return b, nil
}

func (b *baseline) answer(offer string) (string, error) {
	pc, err := b.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", fmt.Errorf("make peer connection: %w", err)
	}
	rtp, err := pc.AddTrack(b.track)
	if err != nil {
		return "", fmt.Errorf("add track: %w", err)
	}
	go func() { // interceptors see RTCP only as it is read
		buf := make([]byte, 1500)
		for {
			if _, _, err := rtp.Read(buf); err != nil {
				return
			}
		}
	}()
	b.all.watch(pc)
	return accept(pc, offer)
}

func (b *baseline) open(sink netip.AddrPort) error {
	if sink.IsValid() {
		b.conn.sink.Store(net.UDPAddrFromAddrPort(sink))
	}
	return b.all.await()
}

func (b *baseline) send(picture []byte, _ bool, _ uint64) error {
	return b.track.WriteSample(media.Sample{Data: picture, Duration: time.Second / fps})
}

func (b *baseline) count() counts {
	n := b.conn.packets.Load()
	return counts{Packets: n, Messages: n, Syscalls: n, Bytes: b.conn.bytes.Load()}
}

// countingConn counts RTP, and may lead it to a sink.
type countingConn struct {
	*net.UDPConn
	sink           atomic.Pointer[net.UDPAddr]
	packets, bytes atomic.Uint64
}

func (c *countingConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if isRTP(b) {
		c.packets.Add(1)
		c.bytes.Add(uint64(len(b)))
		if sink := c.sink.Load(); sink != nil {
			to = sink
		}
	}
	return c.UDPConn.WriteTo(b, to)
}

// isRTP tells RTP from STUN, DTLS and RTCP on one port (RFC 7983, RFC 5761).
func isRTP(b []byte) bool {
	return len(b) > 12 && b[0]>>6 == 2 && (b[1] < 192 || b[1] > 223)
}
