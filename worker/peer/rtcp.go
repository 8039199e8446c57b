package peer

import (
	"errors"
	"fmt"
	"io"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v3"
)

// Bounds of RTCP.
const (
	maxBadRTCP = 1000 // malformed packets of one stream, more than good ones, that are put up with
	maxRTCP    = 1500 // bytes of a compound packet
)

// rtcpReader is a webrtc.RTPSender: each Read is a compound packet.
type rtcpReader interface {
	Read(b []byte) (int, interceptor.Attributes, error)
}

var _ rtcpReader = (*webrtc.RTPSender)(nil)

// readRTCP hands what the browser reports on one stream to the viewer, until the
// stream is closed. pion has decrypted it.
func (p *Peer) readRTCP(s rtcpReader, t *track) {
	buf := make([]byte, maxRTCP)
	for bad := 0; bad < maxBadRTCP; {
		n, _, err := s.Read(buf)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
			return
		}
		agreed, _, _ := t.bound()
		if viewer := p.viewer.Load(); err == nil && viewer != nil {
			err = viewer.Feedback(buf[:n], agreed.SSRC)
		}
		if err != nil {
			bad++ // malformed; the next one may be well
		} else {
			bad = max(0, bad-1) // a browser may play for hours
		}
	}
	p.finish(fmt.Errorf("%w: it sends malformed RTCP", ErrLost))
}
