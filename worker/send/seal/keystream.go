package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// keystream is AES in counter mode for one stream (RFC 3711 section 4.1.1).
//
// crypto/cipher's CTR needs a new object of 512 bytes for each IV, and a call
// of Encrypt for each block is three times slower than either. GCM is counter
// mode too and takes its IV with each packet, so GCM it is, its tag thrown
// away. Its counter begins at J0+1, and for a nonce N of 16 bytes
//
//	J0 = GHASH(N || 0^64 || 128) = N*H^2 + L*H   with L the length block
//
// in GF(2^128) (NIST SP 800-38D section 7.1). H is known, so the nonce that
// makes the counter begin at a given IV is N = (J0 + L*H) * H^-2 with
// J0 = IV-1. That is linear over GF(2): one product per rollover and two table
// look-ups per packet.
type keystream struct {
	aead    cipher.AEAD
	base    [aes.BlockSize]byte // IV of index 0
	fixed   element             // what of the nonce SSRC, salt and the rollover counter make
	roc     uint32              // the counter that fixed is for
	offset  element             // L * H^-1
	inverse element             // H^-2
	low     [256]element        // what byte 13 of J0 adds to the nonce
	high    [256]element        // and byte 12
	nonce   [aes.BlockSize]byte
	scratch []byte // sealed payload and GCM's tag, for which the packet has no room
}

func newKeystream(k keys, ssrc uint32) (*keystream, error) {
	block, err := aes.NewCipher(k.cipher)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	s := &keystream{scratch: make([]byte, 0, 2048)}
	if s.aead, err = cipher.NewGCMWithNonceSize(block, aes.BlockSize); err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	copy(s.base[:], k.salt)
	binary.BigEndian.PutUint32(s.base[counterSSRC:], binary.BigEndian.Uint32(s.base[counterSSRC:])^ssrc)
	var zero, h [aes.BlockSize]byte
	block.Encrypt(h[:], zero[:])
	inverse := load(h[:]).inverse()
	s.inverse = inverse.times(inverse)
	s.offset = inverse.times(element{low: 8 * aes.BlockSize})
	for i := 1; i < len(s.low); i++ {
		lowest := i & -i
		if i == lowest {
			s.low[i] = s.inverse.times(element{low: uint64(i) << 16})
			s.high[i] = s.inverse.times(element{low: uint64(i) << 24})
			continue
		}
		s.low[i], s.high[i] = s.low[lowest].plus(s.low[i-lowest]), s.high[lowest].plus(s.high[i-lowest])
	}
	s.roll(0)
	return s, nil
}

// roll makes the part of the nonce that packets of one rollover share. The last
// 16 bits of J0 are ones: the block counter of an IV begins at 0, one before
// that is all ones, borrowed from the sequence number above.
func (s *keystream) roll(roc uint32) {
	j0 := s.base
	binary.BigEndian.PutUint32(j0[counterIndex:], binary.BigEndian.Uint32(j0[counterIndex:])^roc)
	binary.BigEndian.PutUint32(j0[12:], 0xffff)
	s.roc, s.fixed = roc, s.offset.plus(load(j0[:]).times(s.inverse))
}

// xor writes src, which is no longer than a packet, under the keystream of the
// packet with this index. dst and src may be the same.
func (s *keystream) xor(dst, src []byte, index uint64) {
	if roc := uint32(index >> 16); roc != s.roc {
		s.roll(roc)
	}
	before := (binary.BigEndian.Uint16(s.base[12:]) ^ uint16(index)) - 1
	n := s.fixed.plus(s.low[before&0xff]).plus(s.high[before>>8])
	n.store(s.nonce[:])
	s.scratch = s.aead.Seal(s.scratch[:0], s.nonce[:], src, nil)
	copy(dst, s.scratch[:len(src)])
}

// element is one of GF(2^128) as GCM writes them: the highest bit of high is
// the coefficient of x^0 (NIST SP 800-38D section 6.3).
type element struct{ high, low uint64 }

func load(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (e element) store(b []byte) {
	binary.BigEndian.PutUint64(b, e.high)
	binary.BigEndian.PutUint64(b[8:], e.low)
}

func (e element) plus(f element) element { return element{e.high ^ f.high, e.low ^ f.low} }

// times multiplies modulo x^128 + x^7 + x^2 + x + 1, without a branch that
// depends on the key.
func (e element) times(f element) (product element) {
	for i := range 128 {
		word := e.high
		if i > 63 {
			word = e.low
		}
		mask := -(word >> (63 - i&63) & 1)
		product.high ^= f.high & mask
		product.low ^= f.low & mask
		carry := -(f.low & 1)
		f.low = f.low>>1 | f.high<<63
		f.high = f.high>>1 ^ carry&(0xe1<<56)
	}
	return product
}

// inverse is e^(2^128-2), the product of e^(2^i) for i from 1 to 127.
func (e element) inverse() element {
	power := e.times(e)
	product := power
	for range 126 {
		power = power.times(power)
		product = product.times(power)
	}
	return product
}
