package main

import (
	"bytes"
	"errors"
	"testing"
)

func TestPictureKnowsItself(t *testing.T) {
	for _, kbits := range []int{1, 2000, 50000} {
		p, q := newPictures(sizeAt(kbits)), newPictures(sizeAt(kbits))
		for n := range uint64(300) {
			au := p.at(n, n%7 == 0)
			if len(au) != sizeAt(kbits) {
				t.Fatalf("picture of %d bytes, want %d", len(au), sizeAt(kbits))
			}
			got, key, err := q.check(bytes.Clone(au))
			if err != nil || got != n || key != (n%7 == 0) {
				t.Fatalf("check(picture %d) = %d, key %v, %v", n, got, key, err)
			}
		}
	}
}

func TestPictureNoticesDamage(t *testing.T) {
	p := newPictures(4000)
	whole := bytes.Clone(p.at(77, false))
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		if n, _, err := p.check(damaged); err == nil && n == 77 {
			t.Fatalf("byte %d changed, unnoticed", i)
		}
	}
	other := bytes.Clone(p.at(78, false))
	mixed := append(bytes.Clone(other[:1200]), whole[1200:]...)
	if _, _, err := p.check(mixed); err == nil {
		t.Error("the front of another picture went unnoticed")
	}
	if _, _, err := p.check(whole[:len(whole)-1]); !errors.Is(err, errPart) {
		t.Errorf("a short picture: %v, want %v", err, errPart)
	}
	if _, _, err := p.check(append(bytes.Clone(whole), 1)); err == nil || errors.Is(err, errPart) {
		t.Errorf("a picture that is too long: %v", err)
	}
}

// No start code inside, so that both packetizers see the same NAL units.
func TestPictureStartCodes(t *testing.T) {
	p := newPictures(100000)
	for key, want := range map[bool]int{false: 1, true: 3} {
		for n := range uint64(20) {
			if got := bytes.Count(p.at(n<<20, key), []byte{0, 0, 1}); got != want {
				t.Fatalf("key %v: %d start codes, want %d", key, got, want)
			}
		}
	}
}
