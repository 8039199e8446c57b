package peer

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

func codec(payload uint8, mime, fmtp string) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, SDPFmtpLine: fmtp}, PayloadType: webrtc.PayloadType(payload),
	}
}

func TestChooseVideo(t *testing.T) {
	const mode = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="
	tests := []struct {
		name    string
		video   packetize.Codec
		offered []webrtc.RTPCodecParameters
		payload uint8 // 0 = none fits
		rtx     uint8
		profile media.Profile
	}{
		{"Main is best", packetize.H264, []webrtc.RTPCodecParameters{
			codec(96, "video/H264", mode+"42e01f"), codec(97, "video/rtx", "apt=96"), codec(98, "video/h264", mode+"4D001f"), codec(99, "video/rtx", "apt=98"),
		}, 98, 99, media.ProfileMain},
		{"another one's RTX", packetize.H264, []webrtc.RTPCodecParameters{
			codec(96, "video/H264", mode+"42e01f"), codec(97, "video/rtx", "apt=95"), codec(98, "video/rtx", "apt=9"), codec(99, "video/rtx", ""),
		}, 96, 0, media.ProfileBaseline},
		{"RTX with a time", packetize.VP8, []webrtc.RTPCodecParameters{
			codec(97, "video/rtx", "apt=96;rtx-time=3000"), codec(96, "video/VP8", ""),
		}, 96, 97, 0},
		{"mode 0", packetize.H264, []webrtc.RTPCodecParameters{codec(96, "video/H264", "packetization-mode=0;profile-level-id=42e01f")}, 0, 0, 0},
		{"no mode", packetize.H264, []webrtc.RTPCodecParameters{codec(96, "video/H264", "profile-level-id=42e01f")}, 0, 0, 0},
		{"High alone", packetize.H264, []webrtc.RTPCodecParameters{codec(96, "video/H264", mode+"640c1f")}, 0, 0, 0},
		{"VP9 of 8 bits", packetize.VP9, []webrtc.RTPCodecParameters{codec(96, "video/VP9", "profile-id=2"), codec(97, "video/VP9", "profile-id=0")}, 97, 0, 0},
		{"VP9 of 10 bits", packetize.VP9, []webrtc.RTPCodecParameters{codec(96, "video/VP9", "profile-id=2")}, 0, 0, 0},
		{"VP9 without a word", packetize.VP9, []webrtc.RTPCodecParameters{codec(96, "video/VP9", "")}, 96, 0, 0},
		{"AV1 main", packetize.AV1, []webrtc.RTPCodecParameters{codec(45, "video/AV1", "level-idx=5;profile=0;tier=0")}, 45, 0, 0},
		{"AV1 high", packetize.AV1, []webrtc.RTPCodecParameters{codec(45, "video/AV1", "profile=1")}, 0, 0, 0},
		{"another codec", packetize.AV1, []webrtc.RTPCodecParameters{codec(96, "video/VP8", "")}, 0, 0, 0},
		{"no video at all", packetize.Opus, []webrtc.RTPCodecParameters{codec(111, "audio/opus", "")}, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, rtx, profile, ok := chooseVideo(tt.video, tt.offered)
			if ok != (tt.payload != 0) || uint8(c.PayloadType) != tt.payload || rtx != tt.rtx || profile != tt.profile {
				t.Errorf("payload type %d, RTX %d, profile %v, %v", c.PayloadType, rtx, profile, ok)
			}
		})
	}
}

func TestFinishAnswer(t *testing.T) {
	const head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
	const video = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=ssrc:7 cname:c\r\na=ssrc:7 msid:m v\r\na=candidate:1\r\na=end-of-candidates\r\n"
	const audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ssrc:70 cname:c\r\n"
	stream := send.Stream{SSRC: 7, RTX: send.RTX{SSRC: 8, PayloadType: 97}}
	host := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	candidate := "a=candidate:9000 1 udp 2122318079 192.0.2.1 5 typ host\r\n"
	group := "a=ssrc-group:FID 7 8\r\na=ssrc:7 cname:c\r\na=ssrc:7 msid:m v\r\na=ssrc:8 cname:c\r\na=ssrc:8 msid:m v\r\n"
	tests := []struct {
		name, answer string
		stream       send.Stream
		addrs        []netip.Addr
		want         string // "" = an error
	}{
		{"nothing to add", head + audio, send.Stream{SSRC: 7}, nil, head + audio},
		{"both", head + video + audio, stream, host, head + "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n" + group + "a=candidate:1\r\n" + candidate + "a=end-of-candidates\r\n" + audio},
		{"hidden", head + video + "a=candidate:1 1 udp 1 ::1 5 typ host\r\n", send.Stream{}, host, head + video[:len(video)-len("a=end-of-candidates\r\n")] + candidate + "a=end-of-candidates\r\n"},
		{"hidden in the second section", head + audio + "a=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\n" + audio + "a=candidate:2 1 udp 1 127.0.0.1 5 typ host\r\n", send.Stream{}, nil, head + audio + "a=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\n" + audio},
		{"candidate in the first section", head + audio + video, send.Stream{}, host, head + audio + candidate + video},
		{"retransmission in the second", head + audio + video, stream, nil, head + audio + strings.Replace(video, "a=ssrc:7 cname:c\r\na=ssrc:7 msid:m v\r\n", group, 1)},
		{"a stream that is not told", head + audio, stream, nil, head + audio},
		{"no SDP", "nonsense", stream, nil, ""},
		{"no section", head, stream, host, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := finishAnswer(tt.answer, tt.stream, tt.addrs, []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}, 5)
			if (err == nil) != (tt.want != "") || got != tt.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, tt.want)
			}
		})
	}
}

func TestDTLSClient(t *testing.T) {
	for offer, want := range map[string]bool{
		minimalOffer + "m=video 9 UDP/TLS/RTP/SAVPF 1\r\na=setup:actpass\r\n":                                                    true,
		minimalOffer + "m=video 9 UDP/TLS/RTP/SAVPF 1\r\na=setup:passive\r\n":                                                    true,
		minimalOffer + "m=video 9 UDP/TLS/RTP/SAVPF 1\r\na=setup:active\r\n":                                                     false,
		minimalOffer + "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\nm=video 9 UDP/TLS/RTP/SAVPF 1\r\na=setup:active\r\n":                    false,
		minimalOffer + "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=setup:actpass\r\nm=video 9 UDP/TLS/RTP/SAVPF 1\r\na=setup:active\r\n": true,
		minimalOffer + "m=video 9 UDP/TLS/RTP/SAVPF 1\r\n":                                                                       true,
	} {
		var s sdp.SessionDescription
		if err := s.UnmarshalString(offer); err != nil {
			t.Fatal(err)
		}
		if got := dtlsClient(&s); got != want {
			t.Errorf("%q: %v", offer, got)
		}
	}
}
