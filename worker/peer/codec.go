package peer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// Header extensions that we write, all of them in what browsers offer.
const (
	// playoutDelayURI asks the browser for the least delay before display.
	playoutDelayURI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
	// transportCCURI numbers the packets of all streams for the browser's
	// reports on them (draft-holmer-rmcat-transport-wide-cc-extensions-01).
	transportCCURI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	// absSendTimeURI says when a packet left.
	absSendTimeURI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
)

// Clock rates of RTP.
const (
	videoClock = 90000 // Hz, RFC 6184
	audioClock = 48000 // Hz, RFC 7587
)

// mimeRTX is the retransmission of another payload type (RFC 4588).
const mimeRTX = "video/rtx"

// format is one way to send pictures.
type format struct {
	mime    string
	fmtp    string
	payload webrtc.PayloadType // ours, only until the browser names its own; RTX has the next one
	profile media.Profile      // of H.264
	id      string             // of H.264: first four digits of profile-level-id (RFC 6184, table 5)
}

// formats are the ways to send a codec, best first; none for what is no video.
// H.264 ends at Main, whose CABAC saves a tenth of the bits.
func formats(codec packetize.Codec) []format {
	h264 := func(id string, payload webrtc.PayloadType, profile media.Profile) format {
		return format{
			mime: webrtc.MimeTypeH264, payload: payload, profile: profile, id: id,
			fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + id + "1f",
		}
	}
	switch codec {
	case packetize.H264:
		return []format{
			h264("4d00", 102, media.ProfileMain), h264("42e0", 104, media.ProfileBaseline), h264("4200", 106, media.ProfileBaseline),
		}
	case packetize.VP8:
		return []format{{mime: webrtc.MimeTypeVP8, payload: 96}}
	case packetize.VP9:
		return []format{{mime: webrtc.MimeTypeVP9, payload: 98, fmtp: "profile-id=0"}}
	case packetize.AV1:
		return []format{{mime: webrtc.MimeTypeAV1, payload: 100, fmtp: "profile=0"}}
	}
	return nil
}

// wanted is what a browser must take, in words.
func wanted(codec packetize.Codec) string {
	switch codec {
	case packetize.VP8:
		return "VP8"
	case packetize.VP9:
		return "VP9, profile 0"
	case packetize.AV1:
		return "AV1, profile 0"
	}
	return "H.264 Main or Baseline in packetization mode 1"
}

// fits says whether a codec that both sides have is this format.
func (f format) fits(c webrtc.RTPCodecParameters) bool {
	if !strings.EqualFold(c.MimeType, f.mime) {
		return false
	}
	fmtp := parseFmtp(c.SDPFmtpLine)
	switch f.mime {
	case webrtc.MimeTypeH264:
		return fmtp["packetization-mode"] == "1" && strings.HasPrefix(strings.ToLower(fmtp["profile-level-id"]), f.id)
	case webrtc.MimeTypeVP9:
		return fmtp["profile-id"] == "" || fmtp["profile-id"] == "0"
	case webrtc.MimeTypeAV1:
		return fmtp["profile"] == "" || fmtp["profile"] == "0"
	}
	return true
}

// newMediaEngine knows one codec for video, with RTX, and Opus.
func newMediaEngine(video packetize.Codec) (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	reports := webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBTransportCC}
	feedback := []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "rrtr"}, reports}
	for _, f := range formats(video) {
		capability := webrtc.RTPCodecCapability{MimeType: f.mime, ClockRate: videoClock, RTCPFeedback: feedback, SDPFmtpLine: f.fmtp}
		rtx := webrtc.RTPCodecCapability{MimeType: mimeRTX, ClockRate: videoClock, SDPFmtpLine: fmt.Sprintf("apt=%d", f.payload)}
		for i, c := range []webrtc.RTPCodecCapability{capability, rtx} {
			p := webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: f.payload + webrtc.PayloadType(i)}
			if err := m.RegisterCodec(p, webrtc.RTPCodecTypeVideo); err != nil {
				return nil, fmt.Errorf("register %s: %w", c.MimeType, err)
			}
		}
	}
	err := m.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: audioClock, Channels: media.Channels,
			SDPFmtpLine: "minptime=10;useinbandfec=1", RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, reports},
		},
		PayloadType: 111,
	}, webrtc.RTPCodecTypeAudio)
	if err != nil {
		return nil, fmt.Errorf("register Opus: %w", err)
	}
	return m, registerExtensions(m)
}

func registerExtensions(m *webrtc.MediaEngine) error {
	const video, audio = webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio
	for _, e := range []struct {
		uri  string
		kind webrtc.RTPCodecType
	}{
		{transportCCURI, video}, {transportCCURI, audio}, {absSendTimeURI, video}, {absSendTimeURI, audio}, {playoutDelayURI, video},
	} {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: e.uri}, e.kind); err != nil {
			return fmt.Errorf("register header extension %s: %w", e.uri, err)
		}
	}
	return nil
}

// chooseVideo picks the best format of a codec from what both sides have, and
// the payload type of its RTX, 0 if the browser has none.
func chooseVideo(video packetize.Codec, codecs []webrtc.RTPCodecParameters) (c webrtc.RTPCodecParameters, rtx uint8, p media.Profile, ok bool) {
	for _, f := range formats(video) {
		for _, c := range codecs {
			if f.fits(c) {
				return c, findRTX(codecs, c.PayloadType), f.profile, true
			}
		}
	}
	return webrtc.RTPCodecParameters{}, 0, 0, false
}

func findRTX(codecs []webrtc.RTPCodecParameters, of webrtc.PayloadType) uint8 {
	for _, c := range codecs {
		if strings.EqualFold(c.MimeType, mimeRTX) && parseFmtp(c.SDPFmtpLine)["apt"] == strconv.Itoa(int(of)) {
			return uint8(c.PayloadType)
		}
	}
	return 0
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
