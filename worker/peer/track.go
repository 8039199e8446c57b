package peer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// errNotReady says that pion took the packet and threw it away, since the
// keys of the connection are not there yet.
var errNotReady = errors.New("peer: connection is not ready")

// track is one of our two streams to one browser: what was negotiated for it,
// and pion's writer, by which it is sent if it cannot be sent past pion.
type track struct {
	codec  packetize.Codec
	stream string // media stream id: one per track, so that lip-sync never delays the picture

	mu      sync.Mutex
	writer  webrtc.TrackLocalWriter // nil = the browser does not take it
	agreed  send.Stream
	profile media.Profile
}

var _ webrtc.TrackLocal = (*track)(nil)

func newTrack(codec packetize.Codec) *track {
	t := &track{codec: codec}
	t.stream = "cloudretro-" + t.Kind().String()
	return t
}

// Bind implements webrtc.TrackLocal: pion tells what was negotiated.
func (t *track) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	codec, rtx, profile, ok := webrtc.RTPCodecParameters{}, uint8(0), media.ProfileBaseline, false
	if t.codec == packetize.Opus {
		codec, ok = chooseOpus(ctx.CodecParameters())
	} else {
		codec, rtx, profile, ok = chooseVideo(t.codec, ctx.CodecParameters())
	}
	if !ok {
		return codec, fmt.Errorf("%w: %s", webrtc.ErrUnsupportedCodec, t.Kind())
	}
	agreed := send.Stream{Codec: t.codec, SSRC: uint32(ctx.SSRC()), PayloadType: uint8(codec.PayloadType)}
	if rtx != 0 {
		agreed.RTX = send.RTX{SSRC: otherSSRC(agreed.SSRC), PayloadType: rtx}
	}
	for _, e := range ctx.HeaderExtensions() {
		if e.ID < 1 || e.ID > 14 { // RFC 8285, section 4.2
			continue
		}
		switch e.URI {
		case transportCCURI:
			agreed.TWCC = uint8(e.ID)
		case absSendTimeURI:
			agreed.AbsSendTime = uint8(e.ID)
		case playoutDelayURI:
			agreed.PlayoutDelay = uint8(e.ID)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writer, t.agreed, t.profile = ctx.WriteStream(), agreed, profile
	return codec, nil
}

// otherSSRC is a random one that is not taken.
func otherSSRC(taken uint32) uint32 {
	for {
		if ssrc := rand.Uint32(); ssrc != taken && ssrc != 0 {
			return ssrc
		}
	}
}

// Unbind implements webrtc.TrackLocal.
func (t *track) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writer = nil
	return nil
}

// ID implements webrtc.TrackLocal.
func (t *track) ID() string { return t.Kind().String() }

// RID implements webrtc.TrackLocal.
func (t *track) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (t *track) StreamID() string { return t.stream }

// Kind implements webrtc.TrackLocal.
func (t *track) Kind() webrtc.RTPCodecType {
	if t.codec == packetize.Opus {
		return webrtc.RTPCodecTypeAudio
	}
	return webrtc.RTPCodecTypeVideo
}

// bound says whether the browser takes this track, and how; the profile is that
// of H.264.
func (t *track) bound() (send.Stream, media.Profile, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.agreed, t.profile, t.writer != nil
}

// write is the send.Writer of a viewer that cannot be sent to past pion.
func (t *track) write(header *rtp.Header, payload []byte) error {
	t.mu.Lock()
	writer := t.writer
	t.mu.Unlock()
	if writer == nil {
		return errNotReady
	}
	n, err := writer.WriteRTP(header, payload)
	if err != nil {
		return fmt.Errorf("send %s: %w", t.Kind(), err)
	}
	if n == 0 {
		return errNotReady
	}
	return nil
}
