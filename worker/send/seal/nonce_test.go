package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestNonceModel seals and opens at random, with numbers that go on, jump, come
// again and go back, with headers and buffers that are wrong: no index is ever
// sealed twice, a refusal writes nothing and uses nothing up, and what was sealed
// long ago is opened all the same.
func TestNonceModel(t *testing.T) {
	for _, p := range profiles() {
		random := rand.New(rand.NewPCG(11, uint64(p)))
		s := newSealer(t, p)
		type sent struct {
			index  uint64
			packet []byte
			plain  []byte
		}
		var all []sent
		next := uint64(0) // lowest index that is free
		for range 5_000 {
			index := next
			switch random.IntN(8) {
			case 0:
				index += random.Uint64N(200_000) // rollovers are left out
			case 1:
				index -= min(index, random.Uint64N(3))
			case 2:
				index = random.Uint64N(next + 1)
			}
			plain := noise(byte(index), random.IntN(200))
			dst := bytes.Repeat([]byte{0xaa}, 24+len(plain)+s.Overhead())
			put(dst, 24, index)
			wrong := random.IntN(10)
			switch wrong {
			case 0:
				dst = dst[:len(dst)-1]
			case 1:
				dst[3]++ // of another number
			case 2:
				dst[8]++ // of another stream
			}
			before := slices.Clone(dst)
			n, err := s.Seal(dst, 24, plain, index)
			if ok := index >= next && wrong > 2; ok != (err == nil) {
				t.Fatalf("%v: index %d, free from %d: %v", p, index, next, err)
			}
			if err != nil {
				if !bytes.Equal(dst, before) {
					t.Fatalf("%v: %v, and something was written", p, err)
				}
				if index < next && !errors.Is(err, ErrReused) {
					t.Fatalf("%v: %v", p, err)
				}
				continue
			}
			next = index + 1
			all = append(all, sent{index, dst[:n], plain})
			old := all[random.IntN(len(all))]
			got, err := s.Open(make([]byte, 200), old.packet, 24, old.index)
			if err != nil || !bytes.Equal(got, old.plain) {
				t.Fatalf("%v: index %d: %v", p, old.index, err)
			}
		}
		if len(all) < 2_000 || next < 1<<17 {
			t.Fatalf("%v: %d packets up to %d: not much was tried", p, len(all), next)
		}
	}
}

// TestStreamsApart seals one packet on two streams under one key, and one stream
// under two keys: nothing of the keystreams is the same. Keys and salts may be
// overwritten after New.
func TestStreamsApart(t *testing.T) {
	for _, p := range profiles() {
		key, salt := secrets(p)
		seal := func(key, salt []byte, ssrc uint32) []byte {
			s, err := New(p, key, salt, ssrc)
			if err != nil {
				t.Fatal(err)
			}
			clear(key)
			clear(salt)
			dst := make([]byte, 12+64+s.Overhead())
			put(dst, 12, 5)
			dst[8], dst[9], dst[10], dst[11] = byte(ssrc>>24), byte(ssrc>>16), byte(ssrc>>8), byte(ssrc)
			if _, err := s.Seal(dst, 12, make([]byte, 64), 5); err != nil {
				t.Fatal(err)
			}
			return dst[12:76] // the keystream
		}
		other := slices.Clone(salt)
		other[0] ^= 1
		all := [][]byte{
			seal(slices.Clone(key), slices.Clone(salt), 1),
			seal(slices.Clone(key), slices.Clone(salt), 2),
			seal(slices.Clone(key), other, 1),
			seal(append([]byte{key[0] ^ 1}, key[1:]...), slices.Clone(salt), 1),
		}
		for i, a := range all {
			for _, b := range all[:i] {
				if bytes.Equal(a[:16], b[:16]) || bytes.Equal(a[48:], b[48:]) {
					t.Errorf("%v: two streams have one keystream", p)
				}
			}
		}
		if again := seal(slices.Clone(key), slices.Clone(salt), 1); !bytes.Equal(again, all[0]) {
			t.Errorf("%v: the same stream has another keystream", p)
		}
	}
}
