package peer

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// attributes are the values of an attribute in the section of a kind.
func attributes(sdp, kind, name string) []string {
	var out []string
	section := ""
	for line := range strings.SplitSeq(sdp, "\r\n") {
		if rest, ok := strings.CutPrefix(line, "m="); ok {
			section, _, _ = strings.Cut(rest, " ")
		}
		if value, ok := strings.CutPrefix(line, "a="+name+":"); ok && section == kind {
			out = append(out, value)
		}
	}
	return out
}

// TestAnswer: what a browser is told of our streams.
func TestAnswer(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, b, _, _ := connect(t, l, peertest.Options{})
	video, _, _ := p.video.bound()
	sdp := b.PC.RemoteDescription().SDP
	if video.RTX.SSRC == 0 || video.RTX.SSRC == video.SSRC || video.RTX.PayloadType == video.PayloadType {
		t.Fatalf("agreed on %+v", video)
	}
	group := fmt.Sprintf("FID %d %d", video.SSRC, video.RTX.SSRC)
	if got := attributes(sdp, "video", "ssrc-group"); !slices.Equal(got, []string{group}) {
		t.Errorf("groups %q, want %q", got, group)
	}
	if apt := fmt.Sprintf("%d apt=%d", video.RTX.PayloadType, video.PayloadType); !slices.Contains(attributes(sdp, "video", "fmtp"), apt) {
		t.Errorf("no fmtp %q", apt)
	}
	lines := map[string][]string{}
	for _, a := range attributes(sdp, "video", "ssrc") {
		ssrc, rest, _ := strings.Cut(a, " ")
		lines[ssrc] = append(lines[ssrc], rest)
	}
	if a, b := lines[fmt.Sprint(video.SSRC)], lines[fmt.Sprint(video.RTX.SSRC)]; len(lines) != 2 || len(a) == 0 || !slices.Equal(a, b) {
		t.Errorf("the streams are described as %q", lines)
	}
	for kind, stream := range map[string]*track{"video": p.video, "audio": p.audio} {
		agreed, _, _ := stream.bound()
		for uri, id := range map[string]uint8{transportCCURI: agreed.TWCC, absSendTimeURI: agreed.AbsSendTime} {
			if got := attributes(sdp, kind, "extmap"); id == 0 || !slices.Contains(got, fmt.Sprintf("%d %s", id, uri)) {
				t.Errorf("%s: extension %s is %d, told %q", kind, uri, id, got)
			}
		}
	}
	for _, fb := range []string{"nack", "nack pli", "ccm fir", "transport-cc"} {
		if want := fmt.Sprintf("%d %s", video.PayloadType, fb); !slices.ContainsFunc(attributes(sdp, "video", "rtcp-fb"), func(s string) bool { return strings.TrimSpace(s) == want }) {
			t.Errorf("no rtcp-fb %q", want)
		}
	}
}

// TestAnswerToLittle: nothing is sent that the browser did not offer.
func TestAnswerToLittle(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	p, b, _, _ := connect(t, l, peertest.Options{Bare: true, NoAudio: true})
	video, _, _ := p.video.bound()
	if video.RTX != (send.RTX{}) || video.TWCC != 0 || video.AbsSendTime != 0 || video.PlayoutDelay == 0 {
		t.Errorf("agreed on %+v", video)
	}
	if audio, _, ok := p.audio.bound(); ok || audio != (send.Stream{}) {
		t.Errorf("sound: %+v", audio)
	}
	if sdp := b.PC.RemoteDescription().SDP; strings.Contains(sdp, "FID") || strings.Contains(sdp, "rtx") {
		t.Errorf("retransmission in\n%s", sdp)
	}
	s := show(t, p)
	s.Audio(send.Sound{Data: []byte{1}, Duration: 10 * time.Millisecond}) // to nobody
	s.Video(picture(accessUnit(true, 10, 1), true, 0))
	if pic := peertest.Wait(t, "a picture", b.Pictures); !pic.Bare || pic.Delayed {
		t.Errorf("picture %+v", pic)
	}
}

func TestResends(t *testing.T) {
	fallback := func(*webrtc.DTLSTransport, bool) (srtpKeys, error) { return srtpKeys{}, errNoKeys }
	tests := []struct {
		name string
		bare bool
		keys func(*webrtc.DTLSTransport, bool) (srtpKeys, error)
	}{
		{"RTX", false, localKeys},
		{"as it was", true, localKeys},
		{"RTX through pion", false, fallback},
		{"as it was, through pion", true, fallback},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := listen(t, Config{Address: "127.0.0.1"})
			l.keysOf = tt.keys
			p, b, _, _ := connect(t, l, peertest.Options{Bare: tt.bare})
			s := show(t, p)
			s.Video(picture(accessUnit(true, 5000, 7), true, 0))
			pic := peertest.Wait(t, "a picture", b.Pictures)
			if pic.Bare != tt.bare {
				t.Errorf("picture %+v", pic)
			}
			b.Nack(pic.First+1, pic.First+3, pic.First+500)
			deadline := time.After(peertest.Patience)
			for n := p.Stats(); n.ResentRTX+n.ResentPlain+n.RefusedUnknown < 3; n = p.Stats() {
				select {
				case <-time.After(time.Millisecond):
				case <-deadline:
					t.Fatalf("%+v", n.Counts)
				}
			}
			var again []peertest.Resent
			for tries := 0; len(again) < 2; tries++ { // pion's browser looks for resends when something else comes
				if tries == 2000 {
					t.Fatalf("%d packets came again: %+v", len(again), p.Stats().Counts)
				}
				s.Video(picture(accessUnit(true, 10, 1), true, 0))
				peertest.Wait(t, "a picture", b.Pictures)
				for len(b.Resent) > 0 {
					again = append(again, <-b.Resent)
				}
			}
			for i, r := range again {
				want := accessUnit(true, 5000, 7)
				if r.RTX == tt.bare || r.Seq != pic.First+1+2*uint16(i) || len(r.Payload) < 500 || !bytes.Contains(want, r.Payload[2:]) {
					t.Errorf("packet %d of the picture came again as %d, RTX %v, %d bytes", 1+2*i, r.Seq-pic.First, r.RTX, len(r.Payload))
				}
			}
			if n := p.Stats(); n.ResentRTX+n.ResentPlain != 2 || (n.ResentRTX == 0) != tt.bare || n.RefusedUnknown != 1 {
				t.Errorf("%+v", n.Counts)
			}
		})
	}
}

// TestOtherCodecs: a room of another codec is watched by who takes it.
func TestOtherCodecs(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	tests := []struct {
		codec packetize.Codec
		mime  string
		data  []byte // of a key frame, enough of it for the packetizer
	}{
		{packetize.VP8, webrtc.MimeTypeVP8, append([]byte{0x10, 0, 0, 0x9d, 1, 0x2a, 64, 0, 64, 0}, make([]byte, 2000)...)},
		{packetize.VP9, webrtc.MimeTypeVP9, append([]byte{0x82, 0x49, 0x83, 0x42, 0, 3, 0xf0, 3, 0xf0}, make([]byte, 2000)...)},
		{packetize.AV1, webrtc.MimeTypeAV1, append([]byte{0x32, 0xd0, 0x0f}, make([]byte, 2000)...)}, // OBU_FRAME of 2000 bytes
	}
	for _, tt := range tests {
		t.Run(tt.mime, func(t *testing.T) {
			w := newWatcher()
			p, b, _ := connectWith(t, l, w, Options{Video: tt.codec}, peertest.Options{Video: tt.mime})
			s := show(t, p)
			if s.Video(picture(accessUnit(true, 10, 1), true, 0)) {
				t.Error("H.264 was taken")
			}
			if !s.Video(send.Frame{Codec: tt.codec, Data: tt.data, Key: true}) {
				t.Fatal("not taken")
			}
			if pic := peertest.Wait(t, "a picture", b.Pictures); len(pic.Data) < 2000 || pic.Packets != 2 || pic.Bare || pic.Delayed {
				t.Errorf("%d bytes in %d packets, bare %v, delayed %v", len(pic.Data), pic.Packets, pic.Bare, pic.Delayed)
			}
			if got := attributes(b.PC.RemoteDescription().SDP, "video", "rtpmap"); len(got) < 2 || !strings.Contains(got[0], tt.mime[6:]) {
				t.Errorf("the answer has %q", got)
			}
		})
	}
	p, err := l.Open(newWatcher().events(), Options{Video: packetize.AV1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Answer(t.Context(), peertest.New(t, peertest.Options{}).Offer(), ""); !errors.Is(err, ErrOffer) {
		t.Errorf("a browser without AV1: %v", err)
	}
}

// TestSocketOfPair: only a socket of ours can be sent on past pion.
func TestSocketOfPair(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	host := webrtc.ICECandidate{Typ: webrtc.ICECandidateTypeHost, Protocol: webrtc.ICEProtocolUDP, Address: "127.0.0.1", Port: uint16(l.Port())}
	edit := func(change func(*webrtc.ICECandidate)) webrtc.ICECandidate {
		c := host
		change(&c)
		return c
	}
	browser := webrtc.ICECandidate{Typ: webrtc.ICECandidateTypeSrflx, Protocol: webrtc.ICEProtocolUDP, Address: "::ffff:192.0.2.1", Port: 9}
	tests := []struct {
		name          string
		local, remote webrtc.ICECandidate
		ok            bool
	}{
		{"ours", host, browser, true},
		{"to a relay", host, webrtc.ICECandidate{Typ: webrtc.ICECandidateTypeRelay, Address: "192.0.2.1", Port: 9}, true},
		{"from a relay", edit(func(c *webrtc.ICECandidate) { c.Typ = webrtc.ICECandidateTypeRelay }), browser, false},
		{"TCP", edit(func(c *webrtc.ICECandidate) { c.Protocol = webrtc.ICEProtocolTCP }), browser, false},
		{"another port", edit(func(c *webrtc.ICECandidate) { c.Port++ }), browser, false},
		{"another address", edit(func(c *webrtc.ICECandidate) { c.Address = "192.0.2.2" }), browser, false},
		{"a name", host, webrtc.ICECandidate{Address: "x.local", Port: 9}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, remote := l.socket(&webrtc.ICECandidatePair{Local: &tt.local, Remote: &tt.remote})
			if (conn != nil) != tt.ok || (tt.ok && remote != netip.MustParseAddrPort("192.0.2.1:9")) {
				t.Errorf("conn %v, remote %v", conn, remote)
			}
		})
	}
}
