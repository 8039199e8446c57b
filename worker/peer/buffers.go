package peer

import (
	"io"
	"sync/atomic"

	"github.com/pion/transport/v2/packetio"
)

// Bounds of what a browser may have waiting in pion.
const (
	maxStreams   = 32       // streams its packets may name; ours are four, and it has as many ids of its own
	streamBuffer = 32 << 10 // bytes of one stream that were not read yet; overflow: dropped by pion
)

// buffers makes what pion keeps a browser's packets in until they are read. It
// does so for each stream that any of them names, and forgets none: unbounded,
// packets of 20 bytes would cost us 2 KiB each. Its method may be called from any
// goroutine.
type buffers struct {
	made atomic.Int32
	over func() // called for each stream too many; must not block
}

// make is pion's SettingEngine.BufferFactory.
func (b *buffers) make(packetio.BufferPacketType, uint32) io.ReadWriteCloser {
	if b.made.Add(1) > maxStreams {
		b.over()
		return nothing{}
	}
	buffer := packetio.NewBuffer()
	buffer.SetLimitSize(streamBuffer)
	return buffer
}

// nothing swallows what is written to it.
type nothing struct{}

func (nothing) Read([]byte) (int, error)    { return 0, io.EOF }
func (nothing) Write(b []byte) (int, error) { return len(b), nil }
func (nothing) Close() error                { return nil }
