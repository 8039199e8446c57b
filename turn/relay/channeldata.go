package relay

import "encoding/binary"

const (
	channelHeader = 4 // bytes: channel number and length of the payload
	stunHeader    = 20
	stunCookie    = 0x2112A442
)

// isChannelData says whether p begins like ChannelData: the first two bits are
// 01 (RFC 8656 12.4).
func isChannelData(p []byte) bool { return len(p) > 0 && p[0]>>6 == 1 }

// channelData takes a datagram apart. The length must fit into it; what lies
// behind, which may be padding, is ignored (RFC 8656 12.5).
func channelData(p []byte) (channel uint16, payload []byte, ok bool) {
	if len(p) < channelHeader || !isChannelData(p) {
		return 0, nil, false
	}
	n := int(binary.BigEndian.Uint16(p[2:]))
	if n > len(p)-channelHeader {
		return 0, nil, false
	}
	return binary.BigEndian.Uint16(p), p[channelHeader : channelHeader+n], true
}

// putChannelHeader writes the header of n bytes of payload.
func putChannelHeader(p []byte, channel uint16, n int) {
	binary.BigEndian.PutUint16(p, channel)
	binary.BigEndian.PutUint16(p[2:], uint16(n))
}

// isSTUN says whether p is a STUN message whose length agrees with the
// datagram (RFC 8489 5 and 6.3). Its attributes are not looked at.
func isSTUN(p []byte) bool {
	return len(p) >= stunHeader && p[0]>>6 == 0 &&
		binary.BigEndian.Uint32(p[4:]) == stunCookie &&
		int(binary.BigEndian.Uint16(p[2:]))+stunHeader == len(p)
}
