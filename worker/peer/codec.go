package peer

import (
	"fmt"
	"strings"

	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/media"
)

// playoutDelayURI asks the browser for the least delay before display
// (http://www.webrtc.org/experiments/rtp-hdrext/playout-delay).
const playoutDelayURI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

// Clock rates of RTP.
const (
	videoClock = 90000 // Hz, RFC 6184
	audioClock = 48000 // Hz, RFC 7587
)

// h264Profile is one way to send H.264. iop are the bits of the profile's
// second byte that tell it from its neighbours (RFC 6184, table 5).
type h264Profile struct {
	id      string // first four digits of profile-level-id
	profile media.Profile
	payload webrtc.PayloadType // ours, only until the browser names its own
}

// h264Profiles are those we send, best first. CABAC, the gain of Main, saves a
// tenth of the bits.
func h264Profiles() []h264Profile {
	return []h264Profile{
		{"4d00", media.ProfileMain, 102},
		{"42e0", media.ProfileBaseline, 103},
		{"4200", media.ProfileBaseline, 104},
	}
}

func newMediaEngine() (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	for _, p := range h264Profiles() {
		err := m.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeH264, ClockRate: videoClock, RTCPFeedback: feedback,
				SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + p.id + "1f",
			},
			PayloadType: p.payload,
		}, webrtc.RTPCodecTypeVideo)
		if err != nil {
			return nil, fmt.Errorf("register H.264: %w", err)
		}
	}
	err := m.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: audioClock, Channels: media.Channels,
			SDPFmtpLine: "minptime=10;useinbandfec=1",
		},
		PayloadType: 111,
	}, webrtc.RTPCodecTypeAudio)
	if err != nil {
		return nil, fmt.Errorf("register Opus: %w", err)
	}
	if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: playoutDelayURI},
		webrtc.RTPCodecTypeVideo); err != nil {
		return nil, fmt.Errorf("register playout-delay: %w", err)
	}
	return m, nil
}

// chooseH264 picks the best profile of what both sides have.
func chooseH264(codecs []webrtc.RTPCodecParameters) (webrtc.RTPCodecParameters, media.Profile, bool) {
	for _, p := range h264Profiles() {
		for _, c := range codecs {
			fmtp := parseFmtp(c.SDPFmtpLine)
			if strings.EqualFold(c.MimeType, webrtc.MimeTypeH264) && fmtp["packetization-mode"] == "1" &&
				strings.HasPrefix(strings.ToLower(fmtp["profile-level-id"]), p.id) {
				return c, p.profile, true
			}
		}
	}
	return webrtc.RTPCodecParameters{}, 0, false
}

// chooseOpus picks Opus, if it is there.
func chooseOpus(codecs []webrtc.RTPCodecParameters) (webrtc.RTPCodecParameters, bool) {
	for _, c := range codecs {
		if strings.EqualFold(c.MimeType, webrtc.MimeTypeOpus) {
			return c, true
		}
	}
	return webrtc.RTPCodecParameters{}, false
}

func parseFmtp(line string) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(line, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		out[strings.ToLower(key)] = value
	}
	return out
}
