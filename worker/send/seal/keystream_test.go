package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func testKeys(seed byte) keys {
	b := noise(seed, 64)
	return keys{cipher: b[:16], salt: b[16:30], auth: b[30:50]}
}

// plainCounter is RFC 3711 section 4.1.1 by crypto/cipher's own counter mode.
func plainCounter(t testing.TB, k keys, ssrc uint32, dst, src []byte, index uint64) {
	t.Helper()
	block, err := aes.NewCipher(k.cipher)
	if err != nil {
		t.Fatal(err)
	}
	var iv, mask [aes.BlockSize]byte
	copy(iv[:], k.salt)
	binary.BigEndian.PutUint32(mask[4:], ssrc)
	binary.BigEndian.PutUint64(mask[8:], index<<16)
	for i := range iv {
		iv[i] ^= mask[i]
	}
	cipher.NewCTR(block, iv[:]).XORKeyStream(dst, src)
}

// Every value of the sequence number's bytes, rollovers forth and back, and
// many keys: where the block counter borrows, and where GCM's would carry.
func TestKeystreamIsCounterMode(t *testing.T) {
	src := noise(9, 33)
	got, want := make([]byte, len(src)), make([]byte, len(src))
	random := rand.New(rand.NewPCG(3, 4))
	for seed := range byte(8) {
		k, ssrc := testKeys(seed), random.Uint32()
		s, err := newKeystream(k, ssrc)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(2000) {
			index := i * 33 // every high byte, most low bytes
			if i >= 1990 {
				index = random.Uint64N(indexMax + 1)
			}
			s.xor(got, src, index)
			plainCounter(t, k, ssrc, want, src, index)
			if !bytes.Equal(got, want) {
				t.Fatalf("key %d, index %#x: %x, want %x", seed, index, got, want)
			}
		}
	}
}

// A packet longer than the scratch memory, twice, and in place.
func TestKeystreamLong(t *testing.T) {
	k := testKeys(1)
	s, err := newKeystream(k, 5)
	if err != nil {
		t.Fatal(err)
	}
	b, want := make([]byte, 60000), make([]byte, 60000)
	plainCounter(t, k, 5, want, b, 77)
	s.xor(b, b, 77)
	if !bytes.Equal(b, want) {
		t.Fatal("not counter mode")
	}
	s.xor(b, b, 77)
	if !bytes.Equal(b, make([]byte, len(b))) {
		t.Fatal("twice is not once and back")
	}
}

func TestElement(t *testing.T) {
	one := element{high: 1 << 63}
	random := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		a, b, c := element{random.Uint64(), random.Uint64()}, element{random.Uint64(), random.Uint64()}, element{random.Uint64(), random.Uint64()}
		switch {
		case a.times(one) != a:
			t.Errorf("%x times 1 is %x", a, a.times(one))
		case a.times(a.inverse()) != one:
			t.Errorf("%x times its inverse is %x", a, a.times(a.inverse()))
		case a.times(b) != b.times(a):
			t.Errorf("%x times %x depends on the order", a, b)
		case a.times(b.plus(c)) != a.times(b).plus(a.times(c)):
			t.Errorf("%x times the sum of %x and %x", a, b, c)
		}
	}
}

// The two ways to counter mode in one run; the difference is why keystream is
// as it is.
func BenchmarkKeystream(b *testing.B) {
	k := testKeys(1)
	payload := make([]byte, 1200)
	b.Run("keystream", func(b *testing.B) {
		s, err := newKeystream(k, 5)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		index := uint64(0)
		for b.Loop() {
			index++
			s.xor(payload, payload, index)
		}
	})
	b.Run("crypto-cipher", func(b *testing.B) {
		block, err := aes.NewCipher(k.cipher)
		if err != nil {
			b.Fatal(err)
		}
		iv := make([]byte, aes.BlockSize)
		b.ReportAllocs()
		for b.Loop() {
			cipher.NewCTR(block, iv).XORKeyStream(payload, payload)
		}
	})
}

func BenchmarkNew(b *testing.B) {
	for _, p := range profiles() {
		b.Run(p.String(), func(b *testing.B) {
			for b.Loop() {
				newSealer(b, p)
			}
		})
	}
}
