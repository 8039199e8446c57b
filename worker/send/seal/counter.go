package seal

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"hash"
)

// counter is AES128_CM_HMAC_SHA1_80 (RFC 3711 sections 4.1.1 and 4.2).
type counter struct {
	stream *keystream
	mac    hash.Hash
	sum    [sha1.Size]byte
	roc    [4]byte
}

var _ suite = (*counter)(nil)

// Where SSRC and index stand in the 16-byte IV (RFC 3711 section 4.1.1).
const (
	counterSSRC  = 4
	counterIndex = 8
)

func newCounter(k keys, ssrc uint32) (*counter, error) {
	stream, err := newKeystream(k, ssrc)
	if err != nil {
		return nil, err
	}
	return &counter{stream: stream, mac: hmac.New(sha1.New, k.auth)}, nil
}

func (c *counter) seal(dst []byte, header int, payload []byte, index uint64) {
	end := len(dst) - sha1Tag
	c.stream.xor(dst[header:end], payload, index)
	copy(dst[end:], c.tag(dst[:end], index))
}

func (c *counter) open(dst, packet []byte, header int, index uint64) bool {
	end := len(packet) - sha1Tag
	if !hmac.Equal(packet[end:], c.tag(packet[:end], index)) {
		return false
	}
	c.stream.xor(dst, packet[header:end], index)
	return true
}

// tag authenticates the packet and its rollover counter (RFC 3711 section
// 4.2). It is valid until the next call.
func (c *counter) tag(packet []byte, index uint64) []byte {
	binary.BigEndian.PutUint32(c.roc[:], uint32(index>>16))
	c.mac.Reset()
	c.mac.Write(packet)
	c.mac.Write(c.roc[:])
	return c.mac.Sum(c.sum[:0])[:sha1Tag]
}
