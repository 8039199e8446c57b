package relay

import (
	"encoding/binary"
	"errors"
)

// Framing says how messages lie in the connections of a stream listener.
type Framing uint8

const (
	// Stream is TCP and TLS: messages follow one another, ChannelData is padded
	// to four bytes (RFC 8656 12.5).
	Stream Framing = iota
	// Datagram is DTLS: each Read and Write of a connection is one message.
	Datagram
)

// errFraming means that a stream is no TURN, or not any more: what follows
// cannot be made out, or needs more memory than a stranger is given.
var errFraming = errors.New("neither STUN nor ChannelData")

// padded is n rounded up to a multiple of four.
func padded(n int) int { return (n + 3) &^ 3 }

// messageSize is the size of the message that p begins with, and with its
// padding, at most chunkSize; 0 means that p is too short to tell. Messages that
// could be neither relayed nor given to pion/turn are an error.
func messageSize(p []byte) (size, withPadding int, err error) {
	if len(p) == 0 {
		return 0, 0, nil
	}
	if p[0]>>6 > 1 {
		return 0, 0, errFraming
	}
	if len(p) < channelHeader {
		return 0, 0, nil
	}
	n := int(binary.BigEndian.Uint16(p[2:]))
	if isChannelData(p) {
		if channelHeader+n > maxDatagram {
			return 0, 0, errFraming // fits into no datagram, and no buffer
		}
		return channelHeader + n, padded(channelHeader + n), nil
	}
	if n%4 != 0 || stunHeader+n >= maxControl || len(p) >= 8 && binary.BigEndian.Uint32(p[4:]) != stunCookie {
		return 0, 0, errFraming
	}
	return stunHeader + n, stunHeader + n, nil
}

// Read buffers of a stream: small, because it has one all the time, but for a
// message that needs more.
const (
	smallBuffer  = 2048 // bytes: any control message fits
	recordBuffer = 8192 // bytes: what pion/dtls gives in one Read at most
)

// framer cuts what a connection reads into messages.
type framer struct {
	framing Framing
	long    bool // messages may need more than small
	small   []byte
	large   *chunk // instead of small, for a long message
	chunks  interface{ Get() any }
	release func(*chunk)
	begin   int // of what is not cut yet
	end     int
}

func newFramer(f Framing, chunks interface{ Get() any }, release func(*chunk)) *framer {
	size := smallBuffer
	if f == Datagram {
		size = recordBuffer
	}
	return &framer{framing: f, small: make([]byte, size), chunks: chunks, release: release}
}

func (f *framer) buffer() []byte {
	if f.large != nil {
		return f.large.data[:]
	}
	return f.small
}

// space is where the next Read goes. It is never empty after rewind.
func (f *framer) space() []byte { return f.buffer()[f.end:] }

// filled says that n bytes were read into space.
func (f *framer) filled(n int) { f.end += n }

// next is the next message without its padding, valid until rewind; nil means
// that there is none yet.
func (f *framer) next() ([]byte, error) {
	p := f.buffer()[f.begin:f.end]
	if len(p) == 0 {
		return nil, nil
	}
	if f.framing == Datagram {
		f.begin = f.end
		if isChannelData(p) || isSTUN(p) && len(p) < maxControl {
			return p, nil
		}
		return nil, errFraming
	}
	size, whole, err := messageSize(p)
	if whole > len(f.small) && !f.long {
		return nil, errFraming
	}
	if err != nil || size == 0 || len(p) < whole {
		return nil, err
	}
	f.begin += whole
	return p[:size], nil
}

// rewind moves the beginning of a message to the front of a buffer that has
// room for all of it. It is called when next has no more.
func (f *framer) rewind() {
	rest := f.buffer()[f.begin:f.end]
	whole := len(rest)
	if f.framing == Stream {
		_, whole, _ = messageSize(rest) // next has told of errors
	}
	switch {
	case f.large == nil && whole > len(f.small):
		f.large = f.chunks.Get().(*chunk)
		copy(f.large.data[:], rest)
	case f.large != nil && whole <= len(f.small):
		copy(f.small, rest)
		f.free()
	default:
		copy(f.buffer(), rest)
	}
	f.begin, f.end = 0, len(rest)
}

// free gives the large buffer back.
func (f *framer) free() {
	if f.large != nil {
		f.release(f.large)
		f.large = nil
	}
}
