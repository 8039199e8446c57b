package seal

import "fmt"

// Profile is an SRTP protection profile, as DTLS negotiates it (RFC 5764
// section 4.1.2, RFC 7714 section 14.2). The numbers are those of the registry,
// so a value can be converted from what the DTLS library reports.
type Profile uint16

// The profiles that a [Sealer] knows.
const (
	AES128CMHMACSHA180 Profile = 0x0001 // AES-128 in counter mode, HMAC-SHA1 cut to 80 bits (RFC 3711)
	AEADAES128GCM      Profile = 0x0007 // RFC 7714
	AEADAES256GCM      Profile = 0x0008 // RFC 7714
)

// Lengths in bytes.
const (
	gcmTag   = 16 // RFC 7714 section 14.2
	sha1Tag  = 10 // RFC 3711 section 5.2
	sha1Key  = 20 // RFC 3711 section 5.2: the session authentication key
	gcmSalt  = 12 // RFC 7714 section 12
	cmSalt   = 14 // RFC 3711 section 8.2
	maxKey   = 32
	maxBytes = 65535 // a datagram, and far below the 2^16 blocks that one counter-mode IV is good for
)

// KeyLen is the length of the master key in bytes; 0 for an unknown profile.
func (p Profile) KeyLen() int {
	switch p {
	case AES128CMHMACSHA180, AEADAES128GCM:
		return 16
	case AEADAES256GCM:
		return maxKey
	}
	return 0
}

// SaltLen is the length of the master salt in bytes; 0 for an unknown profile.
func (p Profile) SaltLen() int {
	switch p {
	case AES128CMHMACSHA180:
		return cmSalt
	case AEADAES128GCM, AEADAES256GCM:
		return gcmSalt
	}
	return 0
}

// Overhead is by how many bytes a sealed packet is longer than the plain one;
// 0 for an unknown profile.
func (p Profile) Overhead() int {
	switch p {
	case AES128CMHMACSHA180:
		return sha1Tag
	case AEADAES128GCM, AEADAES256GCM:
		return gcmTag
	}
	return 0
}

// String is the profile's name in the registry.
func (p Profile) String() string {
	switch p {
	case AES128CMHMACSHA180:
		return "SRTP_AES128_CM_HMAC_SHA1_80"
	case AEADAES128GCM:
		return "SRTP_AEAD_AES_128_GCM"
	case AEADAES256GCM:
		return "SRTP_AEAD_AES_256_GCM"
	}
	return fmt.Sprintf("SRTP profile %#04x", uint16(p))
}
