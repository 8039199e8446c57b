package batch

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	writerEntries  = 256 // calls of Add that a Writer holds
	writerMessages = 64  // messages of one sendmmsg
	writerFailures = 256 // failures that one Flush reports
)

// Failure is what became of datagrams that did not leave as they should.
type Failure struct {
	// Tag is what was given to Add.
	Tag int
	// Packets is how many datagrams it is about.
	Packets int
	// Err is ErrTooLarge (they did leave, as IP fragments: send smaller ones),
	// ErrCongested, ErrFamily, net.ErrClosed or the kernel's (a syscall.Errno).
	Err error
}

// Writer collects datagrams and sends them with few system calls. It belongs to
// one goroutine; several Writers of one Conn do not disturb each other.
type Writer struct {
	conn     *Conn
	entries  []entry
	messages []message
	at       cursor
	failures []Failure
	tally    tally
	headers  headers
	transmit func(w *Writer, messages []message) (int, error)
}

func newWriter(c *Conn) *Writer {
	w := &Writer{
		conn:     c,
		entries:  make([]entry, 0, writerEntries),
		messages: make([]message, writerMessages),
		failures: make([]Failure, 0, writerFailures),
		transmit: (*Writer).sendMessages,
	}
	w.headers.init()
	return w
}

// Add queues packets for one address: datagrams of segment bytes back to back,
// the last one may be shorter; a segment below 1 or above len(packets) makes it one
// datagram. Any length will do, Flush cuts it into messages. The memory is the
// caller's and must stay as it is until Flush returns. tag comes back in a
// Failure. A full Writer (256 calls) sends what it holds first.
func (w *Writer) Add(to netip.AddrPort, packets []byte, segment, tag int) {
	if len(packets) == 0 {
		return
	}
	if segment < 1 || segment > len(packets) {
		segment = len(packets)
	}
	if len(w.entries) == cap(w.entries) {
		w.send()
	}
	w.entries = append(w.entries, entry{packets: packets, segment: segment, tag: tag})
	e := &w.entries[len(w.entries)-1]
	if err := w.conn.resolve(&e.to, to); err != nil {
		w.entries = w.entries[:len(w.entries)-1]
		w.tally.drop(count(len(packets), segment), err)
		w.fail(tag, count(len(packets), segment), err)
	}
}

// Flush sends everything queued, in order, and returns what did not go well since
// the last Flush: the Writer's memory, valid until the next Add, nil when all is
// well. When the send buffer is full it waits, 5 ms at most, then drops the rest.
// Failures of one tag and cause in a row are one; beyond 256 they are only counted.
func (w *Writer) Flush() []Failure {
	w.send()
	failures := w.failures
	w.failures = w.failures[:0]
	if len(failures) == 0 {
		return nil
	}
	return failures
}

// send empties the queue.
func (w *Writer) send() {
	if len(w.entries) > 0 {
		w.sendAll()
		clear(w.entries) // the memory of a viewer who left must not live on here
		w.entries = w.entries[:0]
		w.at = cursor{}
	}
	w.conn.stats.add(&w.tally)
	w.tally = tally{}
}

func (w *Writer) sendAll() {
	if !w.conn.enter() {
		w.drop(net.ErrClosed)
		return
	}
	defer w.conn.leave()
	var wait time.Time
	for {
		segmented := w.conn.segmentation.Load()
		n := plan(w.messages, w.entries, w.at, w.conn.limit, segmented)
		if n == 0 {
			return
		}
		sent, err := w.attempt(w.messages[:n])
		w.advance(w.messages[:sent])
		if err == nil {
			continue
		}
		if errors.Is(err, syscall.EPIPE) { // Close came between
			w.drop(net.ErrClosed)
			return
		}
		if !errors.Is(err, syscall.EAGAIN) {
			w.degrade(w.messages[0], err)
			continue
		}
		if wait.IsZero() {
			wait = time.Now().Add(writeWait)
		}
		if !w.conn.awaitRoom(time.Until(wait)) {
			w.drop(ErrCongested)
			return
		}
	}
}

// attempt sends messages until one fails; with an error, none was sent.
func (w *Writer) attempt(messages []message) (int, error) {
	if fault := w.conn.fault; fault != nil {
		messages = messages[:1]
		if n := messages[0].datagrams; n > 1 {
			if err := fault(n); err != nil {
				return 0, err
			}
		}
	}
	w.tally.syscalls++
	return w.transmit(w, messages)
}

// advance moves the cursor past messages that were sent.
func (w *Writer) advance(messages []message) {
	for i := range messages {
		m := &messages[i]
		w.tally.sent(m.datagrams, m.to-m.from)
		w.at = cursor{m.entry, m.to}
	}
}

// degrade decides what becomes of a message that the kernel refused: the same
// bytes again in another form, or none of them.
func (w *Writer) degrade(m message, err error) {
	e := &w.entries[m.entry]
	switch {
	case m.datagrams > 1 && errors.Is(err, syscall.EIO):
		w.conn.stopSegmenting(err)
	case m.datagrams > 1 && (errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, syscall.EINVAL)):
		// A segment beyond the path MTU is EINVAL, EMSGSIZE since Linux 6.14
		// (udp_send_skb). Datagrams that are not segmented may be fragmented.
		e.single = true
		w.tally.tooLarge++
		w.fail(e.tag, count(len(e.packets)-m.from, e.segment), ErrTooLarge)
	default:
		w.tally.drop(m.datagrams, err)
		w.fail(e.tag, m.datagrams, err)
		w.at = cursor{m.entry, m.to}
	}
}

// drop gives up everything from the cursor on.
func (w *Writer) drop(err error) {
	for ; w.at.entry < len(w.entries); w.at = (cursor{w.at.entry + 1, 0}) {
		e := &w.entries[w.at.entry]
		if n := count(len(e.packets)-w.at.offset, e.segment); n > 0 {
			w.tally.drop(n, err)
			w.fail(e.tag, n, err)
		}
	}
}

func (w *Writer) fail(tag, packets int, err error) {
	if n := len(w.failures); n > 0 {
		last := &w.failures[n-1]
		if last.Tag == tag && errors.Is(err, last.Err) {
			last.Packets += packets
			return
		}
		if n == cap(w.failures) {
			return
		}
	}
	w.failures = append(w.failures, Failure{tag, packets, err})
}
