//go:build !portable

package relay

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	outMessages = 64  // sends that wait for one sendmmsg
	outVectors  = 512 // pieces of all of them
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

// segmentControl is the control message that carries UDP_SEGMENT (udp(7)).
type segmentControl struct {
	unix.Cmsghdr
	size uint16
	_    [6]byte
}

// outbox gathers datagrams and gives them to the kernel with as few calls as it
// can: those of a run in one send with UDP_SEGMENT, the runs of a socket in one
// sendmmsg. Headers and payloads are gathered from where they lie. It belongs
// to one goroutine; sockets may be shared.
type outbox struct {
	now  int64 // Relay.now of this round, for receivers
	slot int   // which counters to use

	socket  *socket // where everything in here goes
	count   int     // sends
	vectors int
	headers int

	runs     [outMessages]run
	messages [outMessages]mmsghdr
	names    [outMessages]sockaddr
	controls [outMessages]segmentControl
	iovecs   [outVectors]unix.Iovec
	header   [outVectors][channelHeader]byte

	lone [1]mmsghdr // for datagrams that leave one by one after all

	// send is sendmmsg but for tests.
	send func(fd int, messages []mmsghdr) (int, error)
}

func newOutbox(slot int) *outbox { return &outbox{slot: slot, send: sendmmsg} }

// put takes p, whose packet must stay as it is until flush.
func (o *outbox) put(p *parcel) {
	if o.socket != p.socket || o.vectors+2 > outVectors {
		o.flush()
		if !p.socket.acquire() {
			p.allocation.dropped(o.slot, DropSend, 1)
			return
		}
		o.socket = p.socket
	}
	if o.count == 0 || !o.socket.gso.Load() || !o.runs[o.count-1].join(p) {
		if o.count == outMessages {
			o.flush()
			o.put(p)
			return
		}
		if !o.begin(p) {
			return
		}
	}
	m := &o.messages[o.count-1]
	packet := p.packet
	if p.channel != 0 {
		header := packet[:channelHeader]
		if !p.roomy {
			header = o.header[o.headers][:]
			o.headers++
			o.vector(m, header)
			packet = packet[channelHeader:]
		}
		putChannelHeader(header, p.channel, len(p.packet)-channelHeader)
	} else {
		packet = packet[channelHeader:]
	}
	o.vector(m, packet)
}

// begin opens a send for p.
func (o *outbox) begin(p *parcel) bool {
	size := p.to.put(&o.names[o.count], o.socket.family)
	if size == 0 {
		p.allocation.dropped(o.slot, DropSend, 1)
		return false
	}
	o.runs[o.count].start(p)
	m := &o.messages[o.count]
	m.Name, m.Namelen = (*byte)(unsafe.Pointer(&o.names[o.count])), size
	m.Control = nil
	m.SetControllen(0)
	m.Iov = &o.iovecs[o.vectors]
	m.SetIovlen(0)
	o.count++
	return true
}

// vector adds a piece to m, which is the last send. An empty datagram has an
// empty piece.
func (o *outbox) vector(m *mmsghdr, piece []byte) {
	o.iovecs[o.vectors].Base = unsafe.SliceData(piece)
	o.iovecs[o.vectors].SetLen(len(piece))
	o.vectors++
	m.SetIovlen(int(m.Iovlen) + 1)
}

// flush gives everything to the kernel. What that refuses is dropped and
// counted.
func (o *outbox) flush() {
	if o.socket == nil {
		return
	}
	for i := range o.count {
		if o.runs[i].count > 1 {
			o.segmented(i)
		}
	}
	for i := 0; i < o.count; {
		n, err := o.send(o.socket.fd, o.messages[i:o.count])
		if err != nil {
			o.refused(i, err)
			n = 1
		} else {
			for k := range n {
				o.runs[i+k].sent(o.slot)
			}
		}
		i += n
	}
	o.socket.release()
	o.socket, o.count, o.vectors, o.headers = nil, 0, 0, 0
}

// segmented makes send i one of several datagrams.
func (o *outbox) segmented(i int) {
	c := &o.controls[i]
	c.Level, c.Type, c.size = unix.SOL_UDP, unix.UDP_SEGMENT, uint16(o.runs[i].segment)
	c.SetLen(unix.CmsgLen(2))
	m := &o.messages[i]
	m.Control = (*byte)(unsafe.Pointer(c))
	m.SetControllen(unix.CmsgSpace(2))
}

// refused handles an error of send i. Without checksum offload on its way out
// the kernel cannot segment for this socket, now or ever (EIO); datagrams over
// the path's MTU it fragments only when they come one by one (EINVAL, EMSGSIZE).
func (o *outbox) refused(i int, err error) {
	if o.runs[i].count > 1 {
		if errors.Is(err, unix.EIO) && o.socket.gso.Swap(false) {
			o.runs[i].allocation.listener.relay.cfg.Logger.Warn("no segmentation offload", "address", o.socket.bound, "cause", err)
		}
		if errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EMSGSIZE) {
			o.single(i)
			return
		}
	}
	o.runs[i].lost(o.slot)
}

// single sends the datagrams of send i one by one.
func (o *outbox) single(i int) {
	r := o.runs[i]
	all := unsafe.Slice(o.messages[i].Iov, int(o.messages[i].Iovlen))
	one := o.lone[:]
	one[0] = o.messages[i]
	one[0].Control = nil
	one[0].SetControllen(0)
	for rest := r.bytes; rest > 0; rest -= r.segment {
		n, size := 0, 0
		for size < min(r.segment, rest) {
			size += int(all[n].Len)
			n++
		}
		one[0].Iov = &all[0]
		one[0].SetIovlen(n)
		all = all[n:]
		datagram := r
		datagram.bytes, datagram.count = size, 1
		if _, err := o.send(o.socket.fd, one); err != nil {
			datagram.lost(o.slot)
		} else {
			datagram.sent(o.slot)
		}
	}
}

// sendmmsg never blocks, which is why Go's scheduler need not know of it.
func sendmmsg(fd int, messages []mmsghdr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
