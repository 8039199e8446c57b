package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// sealHeader is an RTP header with one extension, sealTag the tag of AES-GCM.
const (
	sealHeader = 20 // bytes
	sealTag    = 16 // bytes
)

// floor is the least that any sender must do: seal each packet with AES-GCM and
// give it to the kernel, in runs as long as pacing allows ours, each viewer's run
// in one call with the others'. No headers, no history, no reports: nothing that
// a viewer could play.
type floor struct {
	gcm     cipher.AEAD
	nonce   [12]byte
	counter uint64
	out     *segments
	total   counts

	viewers, packets, size, burst int
	payload                       []byte
	frames                        [][]byte // of one viewer
}

var _ path = (*floor)(nil)

func newFloor(ip string) (*floor, error) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	out, err := openSegments(ip)
	if err != nil {
		return nil, err
	}
	return &floor{gcm: gcm, out: out}, nil
}

// shape sets how many datagrams of which size go to how many viewers, and how
// many of them to one viewer at once.
func (f *floor) shape(viewers, packets, size, burst int) {
	f.viewers, f.packets, f.size, f.burst = viewers, packets, max(size, sealHeader+sealTag+1), max(burst, 1)
	f.payload = make([]byte, f.size-sealHeader-sealTag)
	f.frames = make([][]byte, viewers)
	for i := range f.frames {
		f.frames[i] = make([]byte, packets*f.size)
	}
}

func (f *floor) answer(string) (string, error) { return "", errors.New("the floor has no viewers") }

func (f *floor) open(sink netip.AddrPort) error { return f.out.aim(sink) }

func (f *floor) send([]byte, bool, uint64) error {
	for from := 0; from < f.packets; from += f.burst {
		to := min(from+f.burst, f.packets)
		for _, frame := range f.frames {
			if err := f.seal(frame[from*f.size : to*f.size]); err != nil {
				return err
			}
		}
		if err := f.out.flush(); err != nil {
			return err
		}
	}
	f.total.Packets += uint64(f.viewers * f.packets)
	f.total.Bytes += uint64(f.viewers * f.packets * f.size)
	return nil
}

// seal fills and queues the packets of a run.
func (f *floor) seal(run []byte) error {
	for at := 0; at < len(run); at += f.size {
		f.counter++
		binary.BigEndian.PutUint64(f.nonce[4:], f.counter)
		body := at + sealHeader
		f.gcm.Seal(run[body:body], f.nonce[:], f.payload, run[at:body])
	}
	return f.out.add(run, f.size)
}

func (f *floor) count() counts {
	c := f.total
	c.Syscalls, c.Messages = f.out.syscalls, f.out.messages
	return c
}
