// Package seal protects the RTP packets of one stream: the sending side of
// SRTP (RFC 3711) for one SSRC, with AES-GCM (RFC 7714) or AES counter mode and
// HMAC-SHA1. It seals where the packet is to lie (the history ring), reads the
// payload from wherever the packetizer left it, and allocates nothing per
// packet.
package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What Seal and Open refuse. Callers compare with errors.Is.
var (
	// ErrReused means that the index is not larger than every index before it. Sealing it would use a nonce twice.
	ErrReused = errors.New("packet index was used before")
	// ErrExhausted means that the index needs more than 48 bits: this key has no more packets (RFC 3711 section 9.2).
	ErrExhausted = errors.New("packet index is over 48 bits")
	// ErrShort means that a buffer is too small for what is to be written to it or read from it.
	ErrShort = errors.New("buffer is too short")
	// ErrTooLong means that the sealed packet would be over 65535 bytes.
	ErrTooLong = errors.New("packet is too long")
	// ErrHeader means that the header is not one of this stream with this index: its SSRC or sequence number differ.
	ErrHeader = errors.New("header is not of this stream and index")
	// ErrForged means that the packet is not what Seal made under this index.
	ErrForged = errors.New("packet does not verify")
)

const (
	headerMin = 12        // RFC 3550 section 5.1
	indexMax  = 1<<48 - 1 // RFC 3711 section 9.2
)

// suite is one profile's cipher with the session keys of one stream.
type suite interface {
	// seal writes the sealed payload and the tag behind the header: dst[:header] is the header, len(dst) the whole
	// packet.
	seal(dst []byte, header int, payload []byte, index uint64)
	// open writes the payload to dst, which has exactly its length, if the packet verifies.
	open(dst, packet []byte, header int, index uint64) bool
}

// A Sealer protects the packets of one SSRC under one master key. It is used by
// one goroutine. Two Sealers with the same key and SSRC must never exist: they
// would use the same nonces.
type Sealer struct {
	suite    suite
	ssrc     uint32
	overhead int
	next     uint64 // the lowest index that was never sealed
}

// New makes the Sealer of the stream with this SSRC. key and salt are the
// master key and salt of our side, of the profile's lengths, from the DTLS
// exporter (RFC 5764 section 4.2); neither is kept.
func New(p Profile, key, salt []byte, ssrc uint32) (*Sealer, error) {
	if p.KeyLen() == 0 {
		return nil, fmt.Errorf("%v is not known", p)
	}
	if len(key) != p.KeyLen() || len(salt) != p.SaltLen() {
		return nil, fmt.Errorf("%v: key of %d and salt of %d bytes, want %d and %d", p, len(key), len(salt), p.KeyLen(), p.SaltLen())
	}
	session, err := deriveAll(p, key, salt)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", p, err)
	}
	s := &Sealer{ssrc: ssrc, overhead: p.Overhead()}
	if p == AES128CMHMACSHA180 {
		s.suite, err = newCounter(session, ssrc)
	} else {
		s.suite, err = newGCM(session, ssrc)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", p, err)
	}
	return s, nil
}

// Overhead is by how many bytes Seal makes a packet longer.
func (s *Sealer) Overhead() int { return s.overhead }

// Seal protects one RTP packet and returns its length: header + len(payload) +
// Overhead. dst[:header] holds the finished RTP header with its extensions,
// which is authenticated as it stands; behind it Seal writes, so dst must have
// room. payload is read from another buffer, or is exactly
// dst[header:header+len(payload)]; any other overlap panics, as crypto/cipher
// does.
//
// index is ROC<<16 | sequence number (RFC 3711 section 3.3.1), the sequence
// number being the header's. It must be larger than any index before, gaps are
// fine; otherwise the error is ErrReused. On any error nothing was written and
// the index was not used.
func (s *Sealer) Seal(dst []byte, header int, payload []byte, index uint64) (int, error) {
	n := header + len(payload) + s.overhead
	switch {
	case index < s.next:
		return 0, ErrReused
	case index > indexMax:
		return 0, ErrExhausted
	case n > maxBytes:
		return 0, ErrTooLong
	case header < headerMin || n > len(dst):
		return 0, ErrShort
	case !s.owns(dst, index):
		return 0, ErrHeader
	}
	s.next = index + 1
	s.suite.seal(dst[:n], header, payload, index)
	return n, nil
}

// Open returns the payload of a packet that Seal made under this index, for a
// retransmission stream that needs the plaintext again (RFC 4588). It is
// written to dst, which needs len(packet) - header - Overhead bytes and must
// not overlap packet; the result is the front of dst. header is the length of
// the RTP header with its extensions. Open does not change what Seal accepts.
func (s *Sealer) Open(dst, packet []byte, header int, index uint64) ([]byte, error) {
	n := len(packet) - header - s.overhead
	switch {
	case header < headerMin || n < 0 || n > len(dst):
		return nil, ErrShort
	case len(packet) > maxBytes:
		return nil, ErrTooLong
	case index > indexMax || !s.owns(packet, index):
		return nil, ErrHeader
	}
	if !s.suite.open(dst[:n], packet, header, index) {
		return nil, ErrForged
	}
	return dst[:n:n], nil
}

// owns says whether the header names this stream and the index's sequence
// number. A packet whose header disagreed with its nonce could be read by
// nobody.
func (s *Sealer) owns(packet []byte, index uint64) bool {
	return binary.BigEndian.Uint16(packet[2:]) == uint16(index) && binary.BigEndian.Uint32(packet[8:]) == s.ssrc
}
