//go:build !portable

package relay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	inMessages = 64 // datagrams, or runs of them, that are read before a flush
	inEvents   = 64 // sockets that one wait tells of
	// inStride keeps the buffers of a loop from beginning at the same place in
	// their cache sets, as multiples of 64 KiB would.
	inStride = channelHeader + maxDatagram + 1 + 21*64
)

// watched is a socket that a loop waits for.
type watched struct {
	socket   *socket
	receiver receiver
}

// groControl is room for the control message that carries UDP_GRO (udp(7)).
type groControl struct {
	unix.Cmsghdr
	size int32
	_    [4]byte
}

// loop reads its sockets: it waits for them with an epoll of its own, for input
// only, reads what there is into buffers that all of them share, lets the
// receivers say where it goes, and sends that.
//
// The epoll itself lies in Go's netpoller. A goroutine that blocked in
// epoll_wait would wake the runtime's sysmon thread each time it comes and goes,
// which costs a fifth of all at 40,000 packets per second.
type loop struct {
	epoll   *os.File
	waiter  syscall.RawConn // of epoll
	fd      int             // of epoll
	wake    int
	stopped atomic.Bool
	now     func() int64
	out     *outbox

	mu      sync.Mutex
	sockets map[uint64]watched
	next    uint64

	buffers  []byte
	messages [inMessages]mmsghdr
	iovecs   [inMessages]unix.Iovec
	names    [inMessages]sockaddr
	controls [inMessages]groControl
	events   [inEvents]unix.EpollEvent
	ready    [inEvents]watched
}

func newLoop(slot int, now func() int64) (*loop, error) {
	l := &loop{now: now, out: newOutbox(slot), sockets: map[uint64]watched{}}
	if err := l.open(); err != nil {
		return nil, err
	}
	l.buffers = make([]byte, inMessages*inStride)
	for i := range l.messages {
		m := &l.messages[i]
		l.iovecs[i].Base = &l.buffers[i*inStride+channelHeader]
		l.iovecs[i].SetLen(maxDatagram)
		m.Iov = &l.iovecs[i]
		m.SetIovlen(1)
		m.Name = (*byte)(unsafe.Pointer(&l.names[i]))
		m.Control = (*byte)(unsafe.Pointer(&l.controls[i]))
		l.arm(i)
	}
	return l, nil
}

func (l *loop) open() (err error) {
	if l.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("open epoll: %w", os.NewSyscallError("epoll_create1", err))
	}
	if err := unix.SetNonblock(l.fd, true); err != nil { // os.NewFile goes by that
		return errors.Join(fmt.Errorf("open epoll: %w", os.NewSyscallError("fcntl", err)), unix.Close(l.fd))
	}
	l.epoll = os.NewFile(uintptr(l.fd), "epoll")
	if l.waiter, err = l.epoll.SyscallConn(); err != nil {
		return errors.Join(fmt.Errorf("open epoll: %w", err), l.epoll.Close())
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return errors.Join(fmt.Errorf("open eventfd: %w", os.NewSyscallError("eventfd", err)), l.epoll.Close())
	}
	if err := l.control(l.wake, 0); err != nil {
		return errors.Join(err, l.free())
	}
	return nil
}

// control makes epoll watch fd under the number id; 0 is the eventfd.
func (l *loop) control(fd int, id uint64) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(id), Pad: int32(id >> 32)}
	if err := unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("watch socket: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return nil
}

// add makes the loop read s for r. The number that it returns takes it out
// again.
func (l *loop) add(s *socket, r receiver) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped.Load() {
		return 0, net.ErrClosed // and so may be our epoll
	}
	l.next++
	l.sockets[l.next] = watched{s, r}
	if err := l.control(s.fd, l.next); err != nil {
		delete(l.sockets, l.next)
		return 0, err
	}
	return l.next, nil
}

// remove lets the loop forget a socket, which is about to be closed; that takes
// it out of epoll.
func (l *loop) remove(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sockets, id)
}

// stop ends run.
func (l *loop) stop() {
	l.mu.Lock()
	l.stopped.Store(true)
	l.mu.Unlock()
	_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full is awake
}

// free closes what newLoop opened, after run has ended or if it never began.
func (l *loop) free() error { return errors.Join(unix.Close(l.wake), l.epoll.Close()) }

// run reads until stop. It needs a goroutine of its own.
func (l *loop) run() error {
	var n int
	var failed error
	wait := func(fd uintptr) bool {
		n, failed = l.poll(fd)
		return n > 0 || failed != nil
	}
	for !l.stopped.Load() {
		if err := l.waiter.Read(wait); err != nil {
			return fmt.Errorf("wait for sockets: %w", err)
		}
		if failed != nil {
			return fmt.Errorf("wait for sockets: %w", failed)
		}
		l.serve(l.resolve(n))
	}
	return nil
}

// poll asks for events without waiting.
func (l *loop) poll(fd uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&l.events)), inEvents, 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, os.NewSyscallError("epoll_pwait", errno)
		}
	}
}

// resolve finds the sockets of n events; those that were removed meanwhile are
// left out.
func (l *loop) resolve(n int) []watched {
	l.mu.Lock()
	defer l.mu.Unlock()
	ready := l.ready[:0]
	for _, e := range l.events[:n] {
		if w, ok := l.sockets[uint64(uint32(e.Fd))|uint64(uint32(e.Pad))<<32]; ok {
			ready = append(ready, w)
		}
	}
	return ready
}

// serve reads each socket once. What is left is told by the next wait.
func (l *loop) serve(ready []watched) {
	l.out.now = l.now()
	used := 0
	for _, w := range ready {
		if used > inMessages/2 {
			l.out.flush()
			used = 0
		}
		if !w.socket.acquire() {
			continue
		}
		n := l.read(w.socket.fd, used)
		w.socket.release()
		for i := used; i < used+n; i++ {
			if m, ok := l.message(i); ok {
				w.receiver.receive(l.out, m)
			}
			l.arm(i)
		}
		used += n
	}
	l.out.flush()
}

// read fills messages from index first on and says how many it got.
func (l *loop) read(fd, first int) int {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&l.messages[first])),
			uintptr(inMessages-first), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case unix.EINTR:
		default:
			return 0 // EAGAIN; an error of an earlier send, which reading clears
		}
	}
}

// arm sets what the kernel changed in messages[i].
func (l *loop) arm(i int) {
	l.messages[i].Namelen = unix.SizeofSockaddrInet6
	l.messages[i].SetControllen(int(unsafe.Sizeof(groControl{})))
}

// message is what messages[i] holds. Truncated datagrams do not count: nothing
// is longer than a buffer.
func (l *loop) message(i int) (message, bool) {
	h := &l.messages[i]
	size := int(h.n)
	if h.Flags&unix.MSG_TRUNC != 0 {
		return message{}, false
	}
	m := message{raw: l.buffers[i*inStride:][:channelHeader+size], segment: max(1, size)}
	m.from.get(&l.names[i])
	c := &l.controls[i]
	if uint64(h.Controllen) >= uint64(unix.CmsgLen(4)) && c.Level == unix.SOL_UDP && c.Type == unix.UDP_GRO && c.size > 0 {
		m.segment = int(c.size)
	}
	return m, true
}
