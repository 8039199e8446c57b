package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

const testSSRC = 0x5eed5eed

func profiles() []Profile {
	return []Profile{AEADAES128GCM, AEADAES256GCM, AES128CMHMACSHA180}
}

// noise is n random bytes, the same for the same seed.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// secrets are a master key and salt of the profile's lengths, the same in each
// run.
func secrets(p Profile) (key, salt []byte) {
	b := noise(byte(p), p.KeyLen()+p.SaltLen())
	return b[:p.KeyLen()], b[p.KeyLen():]
}

func newSealer(t testing.TB, p Profile) *Sealer {
	t.Helper()
	key, salt := secrets(p)
	s, err := New(p, key, salt, testSSRC)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put writes an RTP header of that many bytes for the packet; what is over 12
// bytes is a one-byte-header extension block (RFC 8285).
func put(dst []byte, header int, index uint64) {
	clear(dst[:header])
	dst[0], dst[1] = 0x80, 96
	binary.BigEndian.PutUint16(dst[2:], uint16(index))
	binary.BigEndian.PutUint32(dst[4:], uint32(index)*3000)
	binary.BigEndian.PutUint32(dst[8:], testSSRC)
	if header > headerMin {
		dst[0] |= 0x10
		binary.BigEndian.PutUint32(dst[12:], 0xbede0000|uint32(header-16)/4)
		for i := 16; i < header; i += 4 {
			dst[i] = byte(i/4%14+1)<<4 | 2
			binary.BigEndian.PutUint16(dst[i+1:], uint16(index))
		}
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name      string
		profile   Profile
		key, salt int
	}{
		{"unknown profile", 2, 16, 14},
		{"no profile", 0, 0, 0},
		{"short key", AEADAES256GCM, 16, 12},
		{"long key", AEADAES128GCM, 32, 12},
		{"salt of the other family", AEADAES128GCM, 16, 14},
		{"salt of GCM", AES128CMHMACSHA180, 16, 12},
		{"no key", AES128CMHMACSHA180, 0, 14},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if s, err := New(test.profile, make([]byte, test.key), make([]byte, test.salt), 1); err == nil || s != nil {
				t.Fatalf("got %v, %v", s, err)
			}
		})
	}
}

func TestProfile(t *testing.T) {
	tests := []struct {
		profile             Profile
		key, salt, overhead int
		name                string
	}{
		{AEADAES128GCM, 16, 12, 16, "SRTP_AEAD_AES_128_GCM"},
		{AEADAES256GCM, 32, 12, 16, "SRTP_AEAD_AES_256_GCM"},
		{AES128CMHMACSHA180, 16, 14, 10, "SRTP_AES128_CM_HMAC_SHA1_80"},
		{9, 0, 0, 0, "SRTP profile 0x0009"},
	}
	for _, test := range tests {
		p := test.profile
		if p.KeyLen() != test.key || p.SaltLen() != test.salt || p.Overhead() != test.overhead || p.String() != test.name {
			t.Errorf("%v: key %d, salt %d, overhead %d", p, p.KeyLen(), p.SaltLen(), p.Overhead())
		}
	}
}

// No index is sealed twice, and a refusal leaves the buffer and the state alone.
func TestSealRefuses(t *testing.T) {
	const used = 1<<16 | 7
	payload := []byte("payload")
	tests := []struct {
		name   string
		header int
		room   int // bytes of dst
		length int // of the payload
		index  uint64
		change func(dst []byte)
		want   error
	}{
		{"same index", 12, 64, 7, used, nil, ErrReused},
		{"smaller sequence number", 12, 64, 7, used - 1, nil, ErrReused},
		{"earlier rollover", 12, 64, 7, 9, nil, ErrReused},
		{"index over 48 bits", 12, 64, 7, 1 << 48, nil, ErrExhausted},
		{"no header", 0, 64, 7, used + 1, nil, ErrShort},
		{"header under 12 bytes", 11, 64, 7, used + 1, nil, ErrShort},
		{"no room for the tag", 12, 12 + 7 + 9, 7, used + 1, nil, ErrShort},
		{"empty buffer", 12, 0, 7, used + 1, nil, ErrShort},
		{"over a datagram", 12, 1 << 17, 65535, used + 1, nil, ErrTooLong},
		{"another sequence number", 12, 64, 7, used + 1, func(b []byte) { b[3]++ }, ErrHeader},
		{"another SSRC", 12, 64, 7, used + 1, func(b []byte) { b[8]++ }, ErrHeader},
	}
	for _, p := range profiles() {
		s := newSealer(t, p)
		first := make([]byte, 64)
		put(first, 12, used)
		if _, err := s.Seal(first, 12, payload, used); err != nil {
			t.Fatal(err)
		}
		for _, test := range tests {
			t.Run(fmt.Sprint(p, "/", test.name), func(t *testing.T) {
				dst := make([]byte, test.room)
				if len(dst) >= 12 {
					put(dst, 12, test.index)
					if test.change != nil {
						test.change(dst)
					}
				}
				before := bytes.Clone(dst)
				n, err := s.Seal(dst, test.header, make([]byte, test.length), test.index)
				if n != 0 || !errors.Is(err, test.want) {
					t.Fatalf("got %d, %v, want %v", n, err, test.want)
				}
				if !bytes.Equal(dst, before) {
					t.Fatal("the buffer was written to")
				}
			})
		}
		next := make([]byte, 64)
		put(next, 12, used+1)
		if _, err := s.Seal(next, 12, payload, used+1); err != nil {
			t.Fatalf("%v: after the refusals: %v", p, err)
		}
	}
}

func TestSealTakesTheLastIndex(t *testing.T) {
	for _, p := range profiles() {
		s := newSealer(t, p)
		dst := make([]byte, 64)
		put(dst, 12, indexMax)
		if _, err := s.Seal(dst, 12, nil, indexMax); err != nil {
			t.Errorf("%v: %v", p, err)
		}
		if _, err := s.Seal(dst, 12, nil, indexMax); !errors.Is(err, ErrReused) {
			t.Errorf("%v: the last index again: %v", p, err)
		}
	}
}

// Sealing in place gives the same bytes as sealing from another buffer, nothing
// behind the packet is touched, and Open gives the payload back.
func TestSealInPlaceAndOpen(t *testing.T) {
	for _, p := range profiles() {
		for _, size := range []int{0, 1, 15, 16, 17, 160, 1199, 1200, 9000} {
			t.Run(fmt.Sprint(p, "/", size), func(t *testing.T) {
				const header, index = 20, 1<<20 | 5
				payload := noise(0, size)
				apart, inside := newSealer(t, p), newSealer(t, p)
				a := bytes.Repeat([]byte{0xaa}, header+size+p.Overhead()+8)
				b := bytes.Clone(a)
				put(a, header, index)
				put(b, header, index)
				copy(b[header:], payload)
				n, err := apart.Seal(a, header, payload, index)
				if err != nil || n != header+size+p.Overhead() {
					t.Fatalf("got %d, %v", n, err)
				}
				if _, err := inside.Seal(b, header, b[header:header+size], index); err != nil || !bytes.Equal(a, b) {
					t.Fatalf("in place: %v\n%x\n%x", err, b, a)
				}
				if !bytes.Equal(a[n:], bytes.Repeat([]byte{0xaa}, 8)) {
					t.Fatal("bytes behind the packet were written")
				}
				dst := make([]byte, size+3)
				got, err := apart.Open(dst, a[:n], header, index)
				if err != nil || !bytes.Equal(got, payload) {
					t.Fatalf("opened %x, %v", got, err)
				}
			})
		}
	}
}

// Every bit of header, extensions, payload, tag and rollover counter is
// authenticated.
func TestOpenRefuses(t *testing.T) {
	const header, index = 20, 3<<16 | 9
	for _, p := range profiles() {
		s := newSealer(t, p)
		packet := make([]byte, header+40+p.Overhead())
		put(packet, header, index)
		if _, err := s.Seal(packet, header, make([]byte, 40), index); err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, 40)
		for bit := range len(packet) * 8 {
			packet[bit/8] ^= 1 << (bit % 8)
			_, err := s.Open(dst, packet, header, index)
			if !errors.Is(err, ErrForged) && !errors.Is(err, ErrHeader) {
				t.Fatalf("%v: bit %d changed: %v", p, bit, err)
			}
			packet[bit/8] ^= 1 << (bit % 8)
		}
		tests := []struct {
			name   string
			room   int
			packet []byte
			header int
			index  uint64
			want   error
		}{
			{"another rollover", 40, packet, header, index + 1<<16, ErrForged},
			{"another sequence number", 40, packet, header, index + 1, ErrHeader},
			{"index over 48 bits", 40, packet, header, index + 1<<48, ErrHeader},
			{"no room", 39, packet, header, index, ErrShort},
			{"cut within the tag", 40, packet[:header+p.Overhead()-1], header, index, ErrShort},
			{"empty", 40, nil, header, index, ErrShort},
			{"header under 12 bytes", 80, packet, 11, index, ErrShort},
			{"over a datagram", 1 << 17, make([]byte, 1<<16), header, index, ErrTooLong},
		}
		for _, test := range tests {
			got, err := s.Open(make([]byte, test.room), test.packet, test.header, test.index)
			if got != nil || !errors.Is(err, test.want) {
				t.Errorf("%v: %s: got %x, %v", p, test.name, got, err)
			}
		}
		if _, err := s.Open(dst, packet, header, index); err != nil {
			t.Errorf("%v: unchanged: %v", p, err)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	for _, p := range profiles() {
		s := newSealer(t, p)
		packet, payload, index := make([]byte, 1500), make([]byte, 1200), uint64(0)
		plain := make([]byte, 1200)
		allocations := testing.AllocsPerRun(200, func() {
			index += 40000
			put(packet, 20, index)
			n, err := s.Seal(packet, 20, payload, index)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Open(plain, packet[:n], 20, index); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 {
			t.Errorf("%v: %v allocations", p, allocations)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, p := range profiles() {
		packet := make([]byte, 64)
		put(packet, 16, 77)
		n, err := newSealer(f, p).Seal(packet, 16, []byte("seed"), 77)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(p), packet[:n], 16, uint64(77))
	}
	f.Fuzz(func(t *testing.T, profile uint16, packet []byte, header int, index uint64) {
		p := Profile(profile)
		if p.KeyLen() == 0 || header > 1<<17 || header < -1<<17 {
			return
		}
		payload, err := newSealer(t, p).Open(make([]byte, len(packet)), packet, header, index)
		if err != nil {
			return
		}
		again := bytes.Clone(packet[:header])
		again = append(again, make([]byte, len(packet)-header)...)
		if _, err := newSealer(t, p).Seal(again, header, payload, index); err != nil || !bytes.Equal(again, packet) {
			t.Fatalf("opened what Seal does not make: %v", err)
		}
	})
}

// FuzzSeal seals any payload under any index, in whatever place, and opens it
// again; a second seal under the index is refused.
func FuzzSeal(f *testing.F) {
	for _, p := range profiles() {
		f.Add(uint16(p), []byte("payload"), uint8(0), uint64(65535))
		f.Add(uint16(p), []byte{}, uint8(3), uint64(indexMax))
		f.Add(uint16(p), noise(1, 1300), uint8(2), uint64(1<<32|1<<16))
	}
	f.Fuzz(func(t *testing.T, profile uint16, payload []byte, words uint8, index uint64) {
		p := Profile(profile)
		if p.KeyLen() == 0 || len(payload) > 2000 {
			return
		}
		header := 20 + 4*int(words%16)
		s, packet := newSealer(t, p), make([]byte, header+len(payload)+p.Overhead())
		put(packet, header, index)
		n, err := s.Seal(packet, header, payload, index)
		if index > indexMax {
			if !errors.Is(err, ErrExhausted) {
				t.Fatalf("index %#x: %v", index, err)
			}
			return
		}
		if err != nil || n != len(packet) {
			t.Fatalf("got %d of %d, %v", n, len(packet), err)
		}
		if got, err := s.Open(make([]byte, len(payload)), packet, header, index); err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("opened %x, %v", got, err)
		}
		if _, err := s.Seal(packet, header, payload, index); !errors.Is(err, ErrReused) {
			t.Fatalf("a second time: %v", err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, p := range profiles() {
		b.Run(p.String(), func(b *testing.B) {
			s := newSealer(b, p)
			packet, payload, index := make([]byte, 1500), make([]byte, 1200), uint64(0)
			put(packet, 20, 0)
			b.SetBytes(1200)
			b.ReportAllocs()
			for b.Loop() {
				index++
				binary.BigEndian.PutUint16(packet[2:], uint16(index))
				if _, err := s.Seal(packet, 20, payload, index); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, p := range profiles() {
		b.Run(p.String(), func(b *testing.B) {
			s := newSealer(b, p)
			packet, plain := make([]byte, 1500), make([]byte, 1200)
			put(packet, 20, 1)
			n, err := s.Seal(packet, 20, plain, 1)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Open(plain, packet[:n], 20, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
