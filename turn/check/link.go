package check

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Frames of a stream (RFC 8656 12.5).
const (
	stunHeader    = 20
	channelHeader = 4
	maxFrame      = 4096 // bytes that are read as one; no server says more
)

var errNoFrame = errors.New("what the server sends is neither STUN nor ChannelData")

// link carries STUN messages and ChannelData to the server and back, each whole.
// One goroutine may read while another writes.
type link struct {
	net.Conn
	stream *bufio.Reader // nil when datagrams keep the boundaries
}

// newLink takes a connection over; stream says that it has no boundaries.
func newLink(conn net.Conn, stream bool) *link {
	l := &link{Conn: conn}
	if stream {
		l.stream = bufio.NewReaderSize(conn, maxFrame)
	}
	return l
}

// receive reads one frame into p, which holds maxFrame bytes.
func (l *link) receive(p []byte) (int, error) {
	if l.stream == nil {
		return l.Read(p)
	}
	head, err := l.stream.Peek(channelHeader)
	if err != nil {
		return 0, err
	}
	size, err := frameSize(head)
	if err != nil {
		return 0, err
	}
	padded := (size + 3) &^ 3
	if padded > len(p) {
		return 0, fmt.Errorf("%w: a frame of %d bytes", errNoFrame, padded)
	}
	_, err = io.ReadFull(l.stream, p[:padded])
	return size, err
}

// frameSize is the length of the frame that begins with head, padding left out.
func frameSize(head []byte) (int, error) {
	size := int(binary.BigEndian.Uint16(head[2:]))
	switch {
	case head[0] < 4: // RFC 7983: STUN
		return stunHeader + size, nil
	case head[0] >= 0x40 && head[0] < 0x50: // ChannelData
		return channelHeader + size, nil
	}
	return 0, fmt.Errorf("%w: it begins with % x", errNoFrame, head)
}

// send writes one frame. On a stream it must be a multiple of 4 bytes long.
func (l *link) send(p []byte) error {
	_, err := l.Write(p)
	return err
}
