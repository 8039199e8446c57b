package peertest

import (
	"fmt"
	"testing"

	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v3"
)

func newAPI(tb testing.TB, o Options) *webrtc.API {
	tb.Helper()
	m := &webrtc.MediaEngine{}
	for i, c := range videoCodecs(o) {
		c.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}
		payload := webrtc.PayloadType(96 + 2*i)
		check(tb, m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: payload}, webrtc.RTPCodecTypeVideo))
		if !o.Bare {
			check(tb, m.RegisterCodec(webrtc.RTPCodecParameters{
				RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "video/rtx", ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", payload)},
				PayloadType:        payload + 1,
			}, webrtc.RTPCodecTypeVideo))
		}
	}
	check(tb, m.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;stereo=1;useinbandfec=1",
		},
		PayloadType: 111,
	}, webrtc.RTPCodecTypeAudio))
	for _, uri := range []string{playoutDelay, sdp.SDESMidURI} {
		check(tb, m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo))
	}
	registry := &interceptor.Registry{}
	if !o.Bare {
		check(tb, webrtc.ConfigureTWCCSender(m, registry))
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
			check(tb, m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.ABSSendTimeURI}, kind))
		}
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings(o)))
}

// videoCodecs are what is offered for video, without RTX.
func videoCodecs(o Options) []webrtc.RTPCodecCapability {
	switch o.Video {
	case webrtc.MimeTypeVP8:
		return []webrtc.RTPCodecCapability{{MimeType: o.Video, ClockRate: 90000}}
	case webrtc.MimeTypeVP9:
		return []webrtc.RTPCodecCapability{
			{MimeType: o.Video, ClockRate: 90000, SDPFmtpLine: "profile-id=2"}, {MimeType: o.Video, ClockRate: 90000, SDPFmtpLine: "profile-id=0"},
		}
	case webrtc.MimeTypeAV1:
		return []webrtc.RTPCodecCapability{{MimeType: o.Video, ClockRate: 90000, SDPFmtpLine: "level-idx=5;profile=0;tier=0"}}
	}
	var out []webrtc.RTPCodecCapability
	for _, id := range o.Profiles {
		out = append(out, webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
			SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + id,
		})
	}
	return out
}

func settings(o Options) webrtc.SettingEngine {
	s := webrtc.SettingEngine{}
	s.DetachDataChannels()
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetHostAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	s.SetSRTPProtectionProfiles(o.SRTP...)
	if o.Cable != nil {
		s.SetICEUDPMux(o.Cable.mux())
	}
	s.DisableSRTPReplayProtection(true) // packets that were not lost come again, too
	return s
}
