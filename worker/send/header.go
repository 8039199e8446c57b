package send

import (
	"encoding/binary"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// Sizes of an RTP packet in bytes.
const (
	// maxPacket is the size of the largest one, before sealing adds its tag. With
	// IPv6, UDP and TURN around it, it stays below the 1280 that every IPv6 path
	// carries.
	maxPacket   = 1200
	fixedHeader = 12 // RFC 3550, section 5.1
	maxHeader   = 28 // with all extensions
	osnLen      = 2  // original sequence number of a retransmission (RFC 4588, section 4)
)

// Lengths of the extensions' data.
const (
	twccLen    = 2 // draft-holmer-rmcat-transport-wide-cc-extensions-01
	absLen     = 3 // webrtc.org/experiments/rtp-hdrext/abs-send-time
	playoutLen = 3 // webrtc.org/experiments/rtp-hdrext/playout-delay
)

// header is the RTP header of one stream, of which each packet gets a copy. All
// packets of a stream have the same extensions, hence the same header size.
type header struct {
	bytes [maxHeader]byte
	size  int
	twcc  int // where the transport-wide number is, 0 = nowhere
	abs   int // where the send time is, 0 = nowhere
}

// newHeader makes the header of a stream's packets, with one-byte extensions (RFC
// 8285, section 4.2). The playout delay stays {0, 0}: show at once.
func newHeader(s Stream, ssrc uint32, payloadType uint8) header {
	h := header{size: fixedHeader}
	h.bytes[0], h.bytes[1] = 2<<6, payloadType&0x7f
	binary.BigEndian.PutUint32(h.bytes[8:], ssrc)
	at := fixedHeader + 4
	h.twcc = h.extend(&at, s.TWCC, twccLen)
	h.abs = h.extend(&at, s.AbsSendTime, absLen)
	if s.Codec != packetize.Opus {
		h.extend(&at, s.PlayoutDelay, playoutLen)
	}
	if at == fixedHeader+4 {
		return h
	}
	words := (at - fixedHeader - 4 + 3) / 4
	h.bytes[0] |= 1 << 4 // X
	binary.BigEndian.PutUint16(h.bytes[fixedHeader:], 0xbede)
	binary.BigEndian.PutUint16(h.bytes[fixedHeader+2:], uint16(words))
	h.size = fixedHeader + 4 + 4*words
	return h
}

// extend adds an extension and returns where its data are; 0 if id says that it
// was not negotiated.
func (h *header) extend(at *int, id uint8, length int) int {
	if id < 1 || id > 14 {
		return 0
	}
	h.bytes[*at] = id<<4 | byte(length-1)
	data := *at + 1
	*at = data + length
	return data
}

// stamp sets the send time of the packets that follow: 6.18 bits of seconds.
func (h *header) stamp(now time.Duration) {
	if h.abs == 0 {
		return
	}
	t := uint32(now/time.Second)<<18 | uint32((now%time.Second)<<18/time.Second)
	h.bytes[h.abs], h.bytes[h.abs+1], h.bytes[h.abs+2] = byte(t>>16), byte(t>>8), byte(t)
}

// write puts the header of one packet at the front of dst.
func (h *header) write(dst []byte, sequence uint16, time uint32, marker bool, number uint16) {
	copy(dst[:h.size], h.bytes[:h.size])
	if marker {
		dst[1] |= 0x80
	}
	binary.BigEndian.PutUint16(dst[2:], sequence)
	binary.BigEndian.PutUint32(dst[4:], time)
	if h.twcc != 0 {
		binary.BigEndian.PutUint16(dst[h.twcc:], number)
	}
}
