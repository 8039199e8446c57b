package peer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/media"
)

// errNotReady says that pion took the packet and threw it away, since the
// keys of the connection are not there yet.
var errNotReady = errors.New("peer: connection is not ready")

// track is one of our two streams to one browser: it numbers the packets and
// hands them to pion's writer. Issue 3's own send path takes its place. write is
// for one goroutine at a time.
type track struct {
	kind   webrtc.RTPCodecType
	stream string // media stream id: one per track, so that lip-sync never delays the picture

	mu      sync.Mutex
	writer  webrtc.TrackLocalWriter
	header  rtp.Header // SSRC, payload type and extensions of every packet
	profile media.Profile

	seq    uint16
	offset uint32 // random start of the RTP time (RFC 3550, 5.1)
}

var _ webrtc.TrackLocal = (*track)(nil)

func newTrack(kind webrtc.RTPCodecType) *track {
	return &track{kind: kind, stream: "cloudretro-" + kind.String(), seq: uint16(rand.Uint32()), offset: rand.Uint32()}
}

// Bind implements webrtc.TrackLocal: pion tells what was negotiated.
func (t *track) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	codec, profile, ok := webrtc.RTPCodecParameters{}, media.ProfileBaseline, false
	if t.kind == webrtc.RTPCodecTypeVideo {
		codec, profile, ok = chooseH264(ctx.CodecParameters())
	} else {
		codec, ok = chooseOpus(ctx.CodecParameters())
	}
	if !ok {
		return codec, fmt.Errorf("%w: %s", webrtc.ErrUnsupportedCodec, t.kind)
	}
	header := rtp.Header{Version: 2, SSRC: uint32(ctx.SSRC()), PayloadType: uint8(codec.PayloadType)}
	for _, e := range ctx.HeaderExtensions() {
		if e.URI != playoutDelayURI || t.kind != webrtc.RTPCodecTypeVideo {
			continue
		}
		zero, err := rtp.PlayoutDelayExtension{}.Marshal()
		if err == nil {
			err = header.SetExtension(uint8(e.ID), zero)
		}
		if err != nil {
			return codec, fmt.Errorf("set playout-delay: %w", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writer, t.header, t.profile = ctx.WriteStream(), header, profile
	return codec, nil
}

// Unbind implements webrtc.TrackLocal.
func (t *track) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writer = nil
	return nil
}

// ID implements webrtc.TrackLocal.
func (t *track) ID() string { return t.kind.String() }

// RID implements webrtc.TrackLocal.
func (t *track) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (t *track) StreamID() string { return t.stream }

// Kind implements webrtc.TrackLocal.
func (t *track) Kind() webrtc.RTPCodecType { return t.kind }

// bound says whether the browser takes this track, and the profile it takes it in.
func (t *track) bound() (media.Profile, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.profile, t.writer != nil
}

// write sends the payloads as packets of one RTP time, the last one marked if
// marker is set. It returns how many bytes went out, and errNotReady if none
// could.
func (t *track) write(payloads [][]byte, time uint32, marker bool) (int, error) {
	t.mu.Lock()
	writer, header := t.writer, t.header
	t.mu.Unlock()
	if writer == nil {
		return 0, errNotReady
	}
	total := 0
	for i, payload := range payloads {
		h := header
		h.SequenceNumber, h.Timestamp = t.seq, t.offset+time
		h.Marker = marker && i == len(payloads)-1
		n, err := writer.WriteRTP(&h, payload)
		if err != nil {
			return total, fmt.Errorf("send %s: %w", t.kind, err)
		}
		if n == 0 {
			return total, errNotReady
		}
		t.seq++
		total += n
	}
	return total, nil
}
