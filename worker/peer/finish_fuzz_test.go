package peer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// FuzzFinishAnswer: whatever lines an odd offer has brought into our answer, the
// two streams of the video are told alike, in one group, and nothing else changes.
func FuzzFinishAnswer(f *testing.F) {
	const head, video = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
	f.Add(head+video+"a=ssrc:7 cname:c\r\na=ssrc:7 msid:m v\r\n", uint32(7), uint32(8))
	f.Add(head+"m=audio 9 RTP/AVP 0\r\na=ssrc:7 cname:c\r\n"+video+"a=ssrc:7\r\na=mid:1\r\na=ssrc:7 x\r\n", uint32(7), uint32(8))
	f.Add(head+video+"a=ssrc:70 cname:c\r\na=ssrc\r\na=ssrc-group:FID 7 8\r\n", uint32(7), uint32(8))
	f.Add(head+video+"a=ssrc:7 cname:c\r\n"+video+"a=ssrc:7 cname:d\r\na=end-of-candidates\r\n", uint32(7), uint32(0))
	f.Fuzz(func(t *testing.T, answer string, ssrc, rtx uint32) {
		if len(answer) > maxSDP || ssrc == rtx || strings.Contains(strings.ReplaceAll(answer, "\r\n", ""), "\r") {
			return // pion reads a lone CR in two ways
		}
		addr := netip.MustParseAddr("192.0.2.1")
		out, err := finishAnswer(answer, send.Stream{SSRC: ssrc, RTX: send.RTX{SSRC: rtx}}, []netip.Addr{addr}, nil, 5)
		if err != nil {
			return
		}
		var before, after sdp.SessionDescription
		if err := before.UnmarshalString(answer); err != nil {
			t.Fatal(err)
		}
		if err := after.UnmarshalString(out); err != nil {
			t.Fatalf("not SDP any more: %v\n%s", err, out)
		}
		if n, m := candidates(&before), candidates(&after); m != n+1 && !strings.Contains(answer, addr.String()) {
			t.Errorf("%d candidates, before %d", m, n)
		}
		for i, m := range after.MediaDescriptions {
			old := before.MediaDescriptions[i]
			ours, theirs := told(m, ssrc), told(m, rtx)
			if !slices.Equal(told(old, ssrc), ours) {
				t.Errorf("section %d: the stream is %q, was %q", i, ours, told(old, ssrc))
			}
			if m.MediaName.Media == "video" && rtx != 0 {
				if want := append(told(old, rtx), ours...); !slices.Equal(slices.Sorted(slices.Values(theirs)), slices.Sorted(slices.Values(want))) {
					t.Errorf("section %d: resends are %q, want %q", i, theirs, want)
				}
				continue
			}
			if !slices.Equal(theirs, told(old, rtx)) {
				t.Errorf("section %d, %s: %q was added", i, m.MediaName.Media, theirs)
			}
		}
	})
}

// told is what a section says of a stream.
func told(m *sdp.MediaDescription, ssrc uint32) []string {
	var out []string
	for _, a := range m.Attributes {
		if id, rest, _ := strings.Cut(a.Value, " "); a.Key == "ssrc" && id == fmt.Sprint(ssrc) {
			out = append(out, rest)
		}
	}
	return out
}

// TestOddOffers: what retransmission is offered as, and what of it is agreed on.
func TestOddOffers(t *testing.T) {
	plain := peertest.New(t, peertest.Options{Profiles: []string{"42e01f"}}).Offer()
	change := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(plain) }
	tests := []struct {
		name, offer  string
		rtx          bool
		twcc, sentAt bool
	}{
		{"as browsers do", plain, true, true, true},
		{"RTX of another format", change("apt=96", "apt=99"), false, true, true},
		{"RTX of nothing", change("apt=96", "x=96"), false, true, true},
		{"RTX in capitals", change("rtx/90000", "RTX/90000"), true, true, true},
		{"RTX with a time", change("apt=96", "apt=96;rtx-time=200"), true, true, true},
		{"no transport-wide numbers", change(transportCCURI, "urn:x"), true, false, true},
		{"no send time", change(absSendTimeURI, "urn:x"), true, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := idle(t)
			answer, err := p.Answer(t.Context(), tt.offer, "")
			if err != nil {
				t.Fatal(err)
			}
			video, _, _ := p.video.bound()
			if (video.RTX.SSRC != 0) != tt.rtx || (video.TWCC != 0) != tt.twcc || (video.AbsSendTime != 0) != tt.sentAt || video.PlayoutDelay == 0 {
				t.Errorf("agreed on %+v", video)
			}
			if got := attributes(answer, "video", "ssrc-group"); (len(got) == 1) != tt.rtx {
				t.Errorf("groups %q", got)
			}
		})
	}
}

// TestWanted: a page is told what it would have to take.
func TestWanted(t *testing.T) {
	for codec, want := range map[packetize.Codec]string{
		packetize.H264: "H.264", packetize.VP8: "VP8", packetize.VP9: "VP9", packetize.AV1: "AV1",
	} {
		if got := wanted(codec); !strings.Contains(got, want) {
			t.Errorf("%v: %q", codec, got)
		}
		p, err := listen(t, Config{Address: "127.0.0.1"}).Open(newWatcher().events(), Options{Video: codec})
		if err != nil {
			t.Fatal(err)
		}
		other := peertest.Options{Profiles: []string{"f4001f"}}
		_, err = p.Answer(t.Context(), peertest.New(t, other).Offer(), "")
		if err == nil || !strings.Contains(err.Error(), wanted(codec)) {
			t.Errorf("%v: told %v", codec, err)
		}
		p.Close()
	}
}
