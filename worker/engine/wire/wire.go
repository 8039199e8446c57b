// Package wire is what a worker and a core process say to one another over a
// unix stream socket: framed binary messages with strict bounds.
//
// A message is a header of five bytes, the length of the payload (uint32,
// little endian) and its kind (one byte), and then the payload. The core
// process is hostile from the worker's point of view (a libretro core runs in
// it): everything that is read is bounded and validated here.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits of the protocol.
const (
	HeaderSize = 5       // bytes before a payload
	MaxMessage = 8 << 20 // bytes of a payload
	MaxText    = 4096    // bytes of a message or a failure
	MaxInfo    = 16384   // bytes of an Info
	MaxName    = 256     // bytes of a name in an Info
)

// Type names a message.
type Type byte

// Messages of a core process to its worker.
const (
	TypeReady   Type = 1 + iota // Info; the machine runs from here on
	TypeChanged                 // Info; geometry or timing are new
	TypeVideo                   // VideoHeader and an access unit
	TypeAudio                   // AudioHeader and a packet
	TypeMessage                 // text of the core for the player
	TypeFailed                  // text; the game cannot be loaded, the process ends
	TypeStats                   // Stats, once a second
	TypeEnded                   // empty; the machine switched itself off, the process ends
	TypeOutcome                 // Outcome of TypeSave or TypeLoad
)

// Messages of a worker to a core process.
const (
	TypeStart    Type = 64 + iota // Start, the first message
	TypeKeyFrame                  // empty; the next picture becomes a key frame
	TypeProfile                   // Uint32: a media.Profile
	TypeBitrate                   // Uint32: bit/s
	TypeStop                      // empty; end in order
	TypeSave                      // Order: put the machine's state into the shared memory
	TypeLoad                      // Order: bring the machine to the state in the shared memory
)

// ErrProtocol says that the other side does not keep to the protocol.
var ErrProtocol = errors.New("core process broke the protocol")

// Begin appends the header of a message to dst; the caller appends the payload
// and then calls Finish with the same start. One buffer thus holds the whole
// message and is written by one call.
func Begin(dst []byte, t Type) []byte {
	return append(dst, 0, 0, 0, 0, byte(t))
}

// Finish writes the length of the message that starts at msg[0], whose header
// Begin made and whose payload is the rest of msg.
func Finish(msg []byte) error {
	n := len(msg) - HeaderSize
	if n < 0 || n > MaxMessage {
		return fmt.Errorf("write message: payload of %d bytes, the limit is %d", n, MaxMessage)
	}
	binary.LittleEndian.PutUint32(msg, uint32(n))
	return nil
}

// AppendMessage appends a whole message to dst.
func AppendMessage(dst []byte, t Type, payload []byte) ([]byte, error) {
	start := len(dst)
	dst = append(Begin(dst, t), payload...)
	return dst, Finish(dst[start:])
}

// Reader takes messages out of a stream. It reads as much as there is at once,
// so that a wake-up costs one system call, and copies nothing. It is used by
// one goroutine.
type Reader struct {
	src  io.Reader
	buf  []byte
	r, w int // buf[r:w] has been read and not yet been taken
	max  int
}

// NewReader returns a Reader of src that refuses payloads over limit bytes.
func NewReader(src io.Reader, limit int) *Reader {
	return &Reader{src: src, buf: make([]byte, 64<<10), max: min(limit, MaxMessage)}
}

// Next returns the next message. The payload is valid until the next call. The
// error is io.EOF when the stream ends between two messages.
func (r *Reader) Next() (Type, []byte, error) {
	if err := r.fill(HeaderSize); err != nil {
		return 0, nil, err
	}
	n := int(binary.LittleEndian.Uint32(r.buf[r.r:]))
	if n > r.max {
		return 0, nil, fmt.Errorf("%w: message of %d bytes, the limit is %d", ErrProtocol, n, r.max)
	}
	if err := r.fill(HeaderSize + n); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	msg := r.buf[r.r : r.r+HeaderSize+n]
	r.r += len(msg)
	return Type(msg[4]), msg[HeaderSize:], nil
}

// Buffered says whether another message is complete already, so that Next will not block.
func (r *Reader) Buffered() bool {
	have := r.w - r.r
	return have >= HeaderSize && have-HeaderSize >= int(binary.LittleEndian.Uint32(r.buf[r.r:]))
}

// fill makes buf[r:w] at least need bytes long.
func (r *Reader) fill(need int) error {
	if r.w-r.r >= need {
		return nil
	}
	if r.r > 0 {
		copy(r.buf, r.buf[r.r:r.w])
		r.r, r.w = 0, r.w-r.r
	}
	for empty := 0; r.w < need; {
		if r.w == len(r.buf) { // grow with what really arrives, not with what is promised
			r.buf = append(r.buf, make([]byte, min(len(r.buf), HeaderSize+r.max-len(r.buf)))...)
		}
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if r.w >= need {
			return nil
		}
		if err != nil {
			if errors.Is(err, io.EOF) && r.w > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		if n > 0 {
			empty = 0
		} else if empty++; empty > 100 {
			return io.ErrNoProgress
		}
	}
	return nil
}
