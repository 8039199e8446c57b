package peer

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"github.com/pion/dtls/v2"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// connectAs joins a browser whose offer and our answer may be changed on the way.
func connectAs(t *testing.T, l *Listener, o Options, b *peertest.Browser, offer string, change func(answer string) string) *Peer {
	t.Helper()
	w := newWatcher()
	p, err := l.Open(w.events(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	answer, err := p.Answer(t.Context(), offer, "")
	if err != nil {
		t.Fatal(err)
	}
	b.Accept(change(answer))
	peertest.Wait(t, "the connection", w.ready)
	return p
}

func unchanged(s string) string { return s }

// TestKeysFitPion breaks when an upgrade of pion hides the keys, or means
// something else by them: what we seal with them a pion browser must open.
func TestKeysFitPion(t *testing.T) {
	const sha1, gcm128, gcm256 = dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM
	actpass, active := unchanged, func(offer string) string { return strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:active") }
	passive := func(offer string) string { return strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:passive") }
	serve := func(answer string) string { return strings.ReplaceAll(answer, "a=setup:active", "a=setup:passive") }
	tests := []struct {
		name    string
		offer   func(string) string
		answer  func(string) string
		client  bool
		profile seal.Profile
	}{
		{"GCM 128", actpass, unchanged, true, seal.AEADAES128GCM},
		{"GCM 256", actpass, unchanged, true, seal.AEADAES256GCM},
		{"SHA1", actpass, unchanged, true, seal.AES128CMHMACSHA180},
		{"browser is server", passive, unchanged, true, seal.AEADAES128GCM},
		{"browser is client", active, serve, false, seal.AEADAES128GCM},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := listen(t, Config{Address: "127.0.0.1"})
			b := peertest.New(t, peertest.Options{SRTP: []dtls.SRTPProtectionProfile{sha1, gcm256, gcm128}})
			offer := tt.offer(b.Offer())
			p := connectAs(t, l, Options{SRTP: tt.profile}, b, offer, tt.answer)
			if o, err := readOffer(offer); err != nil || o.client != tt.client {
				t.Fatalf("client of DTLS: %v, %v", o.client, err)
			}
			keys, err := localKeys(p.transport(), tt.client)
			if err != nil || keys.profile != tt.profile {
				t.Fatalf("keys of %v, %v", keys.profile, err)
			}
			sendSealed(t, l, p, keys, []byte{0x65, 1, 2, 3})
			if pic := peertest.Wait(t, "the picture", b.Pictures); !bytes.Equal(pic.Data, []byte{0, 0, 0, 1, 0x65, 1, 2, 3}) {
				t.Errorf("picture %x", pic.Data)
			}
		})
	}
}

// sendSealed sends one packet of video beside pion.
func sendSealed(t *testing.T, l *Listener, p *Peer, k srtpKeys, payload []byte) {
	t.Helper()
	pair, err := p.transport().ICETransport().GetSelectedCandidatePair()
	if err != nil {
		t.Fatal(err)
	}
	conn := l.conn(netip.AddrPortFrom(netip.MustParseAddr(pair.Local.Address), pair.Local.Port))
	if conn == nil {
		t.Fatalf("no socket of ours is %v", pair.Local)
	}
	sending := p.videoSender.GetParameters()
	header := rtp.Header{
		Version: 2, Marker: true, SequenceNumber: 7, SSRC: uint32(sending.Encodings[0].SSRC), PayloadType: uint8(sending.Codecs[0].PayloadType),
	}
	sealer, err := seal.New(k.profile, k.key, k.salt, header.SSRC)
	if err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, header.MarshalSize()+len(payload)+k.profile.Overhead())
	size, err := header.MarshalTo(packet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealer.Seal(packet, size, payload, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.WriteTo(packet, &net.UDPAddr{IP: net.ParseIP(pair.Remote.Address), Port: int(pair.Remote.Port)}); err != nil {
		t.Fatal(err)
	}
}

func TestKeysOfNothing(t *testing.T) {
	b := peertest.New(t, peertest.Options{})
	for name, transport := range map[string]*webrtc.DTLSTransport{"nil": nil, "new": b.PC.SCTP().Transport()} {
		if k, err := localKeys(transport, true); !errors.Is(err, errNoKeys) || k.key != nil {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
}

// TestChangedPionIsAnError: each way in which pion's field may change.
func TestChangedPionIsAnError(t *testing.T) {
	type conn struct{ n int }
	whole := conn{7}
	tests := []struct {
		name   string
		holder any
		ok     bool
	}{
		{"there", &struct {
			other int
			conn  *conn
		}{1, &whole}, true},
		{"nil", &struct{ conn *conn }{}, false},
		{"another type", &struct{ conn *int }{new(int)}, false},
		{"no pointer", &struct{ conn conn }{whole}, false},
		{"an interface", &struct{ conn any }{&whole}, false},
		{"another name", &struct{ conns *conn }{&whole}, false},
		{"a raw pointer", &struct{ conn unsafe.Pointer }{unsafe.Pointer(&whole)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := field[conn](tt.holder, "conn")
			if (err == nil) != tt.ok || (tt.ok && got.n != 7) || (!tt.ok && (got != nil || !errors.Is(err, errNoKeys))) {
				t.Errorf("field = %v, %v", got, err)
			}
		})
	}
}

// TestNoGCM: a browser without AES-GCM is told apart from one that cannot be
// reached, and connects with SHA1.
func TestNoGCM(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	old := peertest.Options{SRTP: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}}
	p, err := l.Open(newWatcher().events(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := peertest.New(t, old)
	answer, err := p.Answer(t.Context(), b.Offer(), "")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(t.Context()) }()
	b.Accept(answer)
	if err := peertest.Wait(t, "the end", done); !errors.Is(err, ErrSRTP) {
		t.Fatalf("ended with %v, want ErrSRTP", err)
	}
	again := peertest.New(t, old)
	p = connectAs(t, l, Options{SRTP: seal.AES128CMHMACSHA180}, again, again.Offer(), unchanged)
	if k, err := localKeys(p.transport(), true); err != nil || k.profile != seal.AES128CMHMACSHA180 {
		t.Errorf("keys of %v, %v", k.profile, err)
	}
}

// TestForeignFingerprint: DTLS that fails for another reason does not send a
// browser that asked for SHA1 in circles.
func TestForeignFingerprint(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, err := l.Open(newWatcher().events(), Options{SRTP: seal.AES128CMHMACSHA180})
	if err != nil {
		t.Fatal(err)
	}
	b, stranger := peertest.New(t, peertest.Options{}), peertest.New(t, peertest.Options{})
	offer := b.Offer()
	answer, err := p.Answer(t.Context(), strings.ReplaceAll(offer, fingerprint(offer), fingerprint(stranger.Offer())), "")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(t.Context()) }()
	b.Accept(answer)
	if err := peertest.Wait(t, "the end", done); !errors.Is(err, ErrLost) {
		t.Fatalf("ended with %v, want ErrLost", err)
	}
}

func fingerprint(sdp string) string {
	_, rest, _ := strings.Cut(sdp, "a=fingerprint:")
	line, _, _ := strings.Cut(rest, "\r\n")
	return line
}
