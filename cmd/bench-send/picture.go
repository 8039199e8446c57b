package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
)

// fps of every case.
const fps = 60

// stampEvery is how far apart a picture's number is repeated, so that a packet
// of another picture cannot go unnoticed.
const stampEvery = 1000 // bytes

// stampLen is the length of a stamp: seven bits a byte, the eighth set, so that
// no start code comes about.
const stampLen = 8 // bytes

// pictures makes H.264 access units (Annex B, start codes of four bytes) of one
// size, each with its number all over it. One goroutine.
type pictures struct {
	key, delta []byte
}

// newPictures makes access units of size bytes, at least 64.
func newPictures(size int) *pictures {
	noise := rand.New(rand.NewPCG(20, 50)) // the same in every process
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(noise.UintN(255)) + 1
	}
	start := []byte{0, 0, 0, 1}
	sps := []byte{0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0xd8}
	pps := []byte{0x68, 0xce, 0x3c, 0x80}
	key := bytes.Join([][]byte{nil, sps, pps, {0x65}}, start)
	delta := append(bytes.Clone(start), 0x41)
	return &pictures{
		key:   append(key, body[len(key):]...),
		delta: append(delta, body[len(delta):]...),
	}
}

// sizeAt is how many bytes a picture has at a rate.
func sizeAt(kbits int) int { return max(64, kbits*1000/8/fps) }

// at is picture n, valid until the next call.
func (p *pictures) at(n uint64, key bool) []byte {
	au := p.delta
	if key {
		au = p.key
	}
	var stamp uint64
	for j := range stampLen {
		stamp |= (0x80 | n>>(7*j)&0x7f) << (8 * j)
	}
	for i := len(au) - stampLen; i > 40; i -= stampEvery {
		binary.LittleEndian.PutUint64(au[i:], stamp)
	}
	return au
}

// errPart says that a part of a picture is missing: packets that were lost for good.
var errPart = errors.New("picture is not whole")

// check says which picture au is. The error is errPart if it is too short, another
// one if a byte of it is wrong.
func (p *pictures) check(au []byte) (n uint64, key bool, err error) {
	key = len(au) > 4 && au[4]&0x1f == 7
	if len(au) != len(p.delta) {
		if len(au) < len(p.delta) {
			return 0, key, errPart
		}
		return 0, key, fmt.Errorf("picture of %d bytes, want %d", len(au), len(p.delta))
	}
	for j, b := range au[len(au)-stampLen:] {
		n |= uint64(b&0x7f) << (7 * j)
	}
	if !bytes.Equal(au, p.at(n, key)) {
		return n, key, fmt.Errorf("picture %d has wrong bytes", n)
	}
	return n, key, nil
}
