package batch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// segmentControl is the control message that cuts a message into datagrams
// (UDP_SEGMENT, udp(7)), padded as CMSG_SPACE wants it.
type segmentControl struct {
	header unix.Cmsghdr
	size   uint16
	_      [unsafe.Sizeof(uintptr(0)) - 2]byte
}

// headers is the memory of one sendmmsg.
type headers struct {
	messages []mmsghdr
	vectors  []unix.Iovec
	controls []segmentControl
}

func (h *headers) init() {
	h.messages = make([]mmsghdr, writerMessages)
	h.vectors = make([]unix.Iovec, writerMessages)
	h.controls = make([]segmentControl, writerMessages)
	for i := range h.messages {
		h.messages[i].header.Iov = &h.vectors[i]
		h.messages[i].header.SetIovlen(1)
		control := &h.controls[i].header
		control.Level, control.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		control.SetLen(unix.CmsgLen(2))
	}
}

// set makes header i the message m of entry e.
func (h *headers) set(i int, e *entry, m message) {
	header := &h.messages[i].header
	header.Name = (*byte)(unsafe.Pointer(&e.to.raw))
	header.Namelen = e.to.size
	h.vectors[i].Base = &e.packets[m.from]
	h.vectors[i].SetLen(m.to - m.from)
	if m.datagrams == 1 {
		header.Control = nil
		header.SetControllen(0)
		return
	}
	h.controls[i].size = uint16(e.segment)
	header.Control = (*byte)(unsafe.Pointer(&h.controls[i]))
	header.SetControllen(int(unsafe.Sizeof(h.controls[i])))
}

// sendMessages hands messages to the kernel and returns how many it took; an
// error is that of the first one.
func (w *Writer) sendMessages(messages []message) (int, error) {
	h := &w.headers
	for i, m := range messages {
		h.set(i, &w.entries[m.entry], m)
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(w.conn.fd), uintptr(unsafe.Pointer(&h.messages[0])), uintptr(len(messages)),
			unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		for i := range messages {
			h.vectors[i].Base = nil // the caller's memory
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}
