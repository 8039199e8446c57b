package relay

import (
	"encoding/binary"
	"net"
	"sync"
	"time"
)

const (
	chunkSize     = 64 << 10         // bytes; the largest message fits
	maxChunks     = 4                // that wait for a client: 100 ms of 20 Mbit/s
	writePatience = 10 * time.Second // until a client that reads nothing is given up
	openPatience  = 30 * time.Second // for a connection without an allocation
	maxRecord     = 1 << 14          // bytes of a message over DTLS (RFC 6347 4.1)
)

// chunk is messages on their way to a stream. With Datagram framing each is
// preceded by its length in two bytes.
type chunk struct {
	size int
	data [chunkSize]byte
}

// stream is one connection of a client. Two goroutines serve it. What is sent
// to it waits in a queue of maxChunks; when that is full, the newest is dropped,
// so that no reader thread ever waits for a slow client.
type stream struct {
	streams *streams
	conn    net.Conn
	from    endpoint
	wake    chan struct{} // there is something to write
	done    chan struct{}
	once    sync.Once

	mu         sync.Mutex
	closed     bool
	allocation *Allocation
	queue      [maxChunks]*chunk // the first is the oldest
	queued     int
}

func newStream(set *streams, conn net.Conn, from endpoint) *stream {
	return &stream{streams: set, conn: conn, from: from, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// hold says that the client has an allocation, so that it may be silent.
func (s *stream) hold(a *Allocation) {
	s.mu.Lock()
	s.allocation = a
	gone := s.closed
	s.mu.Unlock()
	if gone {
		_ = a.Close() // pion/turn hears of it from ReadFrom
		return
	}
	_ = s.conn.SetReadDeadline(time.Time{}) // Read tells what is wrong
}

// release undoes hold.
func (s *stream) release(a *Allocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.allocation == a {
		s.allocation = nil
		_ = s.conn.SetReadDeadline(time.Now().Add(openPatience)) // Read tells what is wrong
	}
}

// holds says whether the client has an allocation.
func (s *stream) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allocation != nil
}

// close ends the connection and its allocation. It may be called more than once.
func (s *stream) close() {
	s.once.Do(func() {
		close(s.done)
		_ = s.conn.Close()
		s.streams.remove(s)
		s.mu.Lock()
		s.closed = true
		a := s.allocation
		for _, c := range s.queue[:s.queued] {
			s.recycle(c)
		}
		s.queued = 0
		s.mu.Unlock()
		if a != nil {
			_ = a.Close() // cannot fail
		}
	})
}

// push queues ChannelData; false means that there is no room.
func (s *stream) push(channel uint16, payload []byte) bool {
	var header [channelHeader]byte
	putChannelHeader(header[:], channel, len(payload))
	return s.enqueue(header[:], payload)
}

// enqueue queues one message, which consists of two parts.
func (s *stream) enqueue(head, body []byte) bool {
	n := len(head) + len(body)
	if s.streams.framing == Datagram && n > maxRecord {
		return false // its Write would fail, and so end the connection
	}
	s.mu.Lock()
	c := s.room(2 + padded(n))
	if c == nil {
		s.mu.Unlock()
		return false
	}
	p := c.data[c.size:c.size]
	if s.streams.framing == Datagram {
		p = binary.BigEndian.AppendUint16(p, uint16(n))
	}
	p = append(append(p, head...), body...)
	if s.streams.framing == Stream {
		p = append(p, "\x00\x00\x00"[:padded(n)-n]...)
	}
	c.size += len(p)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// room is a chunk with n bytes left, or nil.
func (s *stream) room(n int) *chunk {
	if s.closed || n > chunkSize {
		return nil
	}
	if s.queued > 0 {
		if c := s.queue[s.queued-1]; chunkSize-c.size >= n {
			return c
		}
	}
	if s.queued == maxChunks {
		return nil
	}
	c := s.streams.listener.relay.chunks.Get().(*chunk)
	c.size = 0
	s.queue[s.queued] = c
	s.queued++
	return c
}

// take is the oldest chunk, or nil.
func (s *stream) take() *chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queued == 0 {
		return nil
	}
	c := s.queue[0]
	s.queued--
	copy(s.queue[:], s.queue[1:])
	s.queue[s.queued] = nil
	return c
}

func (s *stream) recycle(c *chunk) { s.streams.listener.relay.chunks.Put(c) }

// write sends what is queued until the connection ends.
func (s *stream) write() {
	defer s.close()
	for {
		c := s.take()
		if c == nil {
			select {
			case <-s.done:
				return
			case <-s.wake:
				continue
			}
		}
		err := s.send(c)
		s.recycle(c)
		if err != nil {
			return
		}
	}
}

// send writes a chunk.
func (s *stream) send(c *chunk) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return err
	}
	sends := &s.streams.listener.counters[s.streams.listener.relay.cfg.Loops].sends[Down]
	p := c.data[:c.size]
	if s.streams.framing == Stream {
		sends.Add(1)
		_, err := s.conn.Write(p)
		return err
	}
	for len(p) > 2 {
		n := int(binary.BigEndian.Uint16(p))
		sends.Add(1)
		if _, err := s.conn.Write(p[2 : 2+n]); err != nil {
			return err
		}
		p = p[2+n:]
	}
	return nil
}

// read takes what the client sends until the connection ends.
func (s *stream) read() {
	defer s.close()
	if s.conn.SetReadDeadline(time.Now().Add(openPatience)) != nil {
		return
	}
	r := s.streams.listener.relay
	f := newFramer(s.streams.framing, &r.chunks, s.recycle)
	defer f.free()
	for {
		n, err := s.conn.Read(f.space())
		f.filled(n)
		if n > 0 && s.consume(f) != nil || err != nil {
			return
		}
	}
}

// consume relays or delivers the messages that f holds.
func (s *stream) consume(f *framer) error {
	l := s.streams.listener
	out := l.relay.boxes.Get().(*outbox)
	out.now = l.relay.now()
	f.long = s.holds() // strangers could fill the memory with beginnings
	err := s.forward(out, f)
	out.flush() // before the buffer moves
	l.relay.boxes.Put(out)
	f.rewind()
	return err
}

func (s *stream) forward(out *outbox, f *framer) error {
	l := s.streams.listener
	var b *binding
	for {
		p, err := f.next()
		switch {
		case err != nil:
			l.counters[out.slot].dropped[DropMalformed].Add(1)
			return err
		case p == nil:
			return nil
		case isChannelData(p):
			b = l.up(out, s.from, p, b)
		default:
			out.flush() // data does not wait for pion/turn
			s.deliver(p)
			l.counters[out.slot].control.Add(1)
		}
	}
}

// deliver hands a control message to pion/turn and waits until there is room:
// clients do not ask twice on a stream.
func (s *stream) deliver(p []byte) {
	l := s.streams.listener
	t := l.relay.letters.Get().(*letter)
	t.from, t.stream, t.size = s.from, s, copy(t.data[:], p)
	select {
	case l.inbox <- t:
	case <-s.done:
	case <-l.done:
	}
}
