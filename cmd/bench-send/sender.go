package main

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"time"
)

// path is one way to send pictures to viewers.
type path interface {
	// answer makes one more viewer from its offer.
	answer(offer string) (string, error)
	// open returns when all viewers are connected. RTP goes to sink from now on
	// if that is valid, to the viewers themselves if not; all else goes to them anyway.
	open(sink netip.AddrPort) error
	// send gives a picture to all viewers. Out of real time it returns when the
	// last byte is with the kernel.
	send(picture []byte, key bool, n uint64) error
	// count is what was sent so far.
	count() counts
}

// counts are totals since the start.
type counts struct {
	Packets, Bytes, Syscalls uint64 // RTP; Syscalls that send
	Messages                 uint64 // each one to a single viewer, of one or more packets
	Resent, Refused          uint64 // packets of those, asked for again by a viewer
	Dropped                  uint64 // pictures, counted for each viewer
	KeyFrames                uint64 // asked for by viewers
}

// since is what came after an earlier count.
func (c counts) since(o counts) counts {
	return counts{
		c.Packets - o.Packets, c.Bytes - o.Bytes, c.Syscalls - o.Syscalls, c.Messages - o.Messages,
		c.Resent - o.Resent, c.Refused - o.Refused, c.Dropped - o.Dropped, c.KeyFrames - o.KeyFrames,
	}
}

// figures is what one run cost the sending process.
type figures struct {
	counts
	User, System, Wall time.Duration
	Allocs             uint64
	First, Last        uint64 // numbers of the pictures
}

// cpu per RTP packet, in nanoseconds.
func (f figures) cpu() float64 { return float64(f.User+f.System) / float64(f.Packets) }

// per divides a count by the packets.
func (f figures) per(n uint64) float64 { return float64(n) / float64(f.Packets) }

// keyEvery is how often a key frame is sent unasked, in pictures.
const keyEvery = 10 * fps

// tail is how many pictures follow a run in real time, so that receivers can
// give out its last one.
const tail = 6

// sender is the process whose cost is measured.
type sender struct {
	role     role
	path     path
	next     uint64      // number of the next picture
	keyAsked atomic.Bool // a viewer waits for a key frame
}

func newSender(r role) (*sender, error) {
	s := &sender{role: r}
	var err error
	switch r.Name {
	case "baseline":
		s.path, err = newBaseline(r.IP)
	case "ours":
		if r.RealTime {
			s.path, err = newProduct(r, &s.keyAsked)
		} else {
			s.path, err = newOurs(r, &s.keyAsked)
		}
	case "floor":
		s.path, err = newFloor(r.IP)
	default:
		err = fmt.Errorf("unknown role %q", r.Name)
	}
	return s, err
}

func (s *sender) answer(req request) (res response, err error) {
	switch req.Do {
	case "connect":
		res.SDP, err = s.path.answer(req.SDP)
	case "open":
		var sink netip.AddrPort
		if req.Sink != "" {
			sink, err = netip.ParseAddrPort(req.Sink)
		}
		if err == nil {
			err = s.path.open(sink)
		}
	case "shape": // of what the floor sends
		s.path.(*floor).shape(req.Viewers, req.Packets, req.Size, req.Burst)
	case "run":
		res.Figures, err = s.run(req)
	default:
		err = fmt.Errorf("unknown request %q", req.Do)
	}
	return res, err
}

// run sends warm-up pictures, settles the heap and measures req.Frames pictures.
func (s *sender) run(req request) (figures, error) {
	p := newPictures(sizeAt(req.KBits))
	warm := min(30, req.Frames)
	if err := s.stream(p, warm); err != nil {
		return figures{}, err
	}
	runtime.GC()
	runtime.GC() // the first one's sweep is over then
	stop, err := profile(req.Profile)
	if err != nil {
		return figures{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := figures{First: s.next}
	count, start := s.path.count(), time.Now()
	user, system := usage()
	err = s.stream(p, req.Frames)
	f.User, f.System = usage()
	f.User, f.System = f.User-user, f.System-system
	f.counts, f.Wall, f.Last = s.path.count().since(count), time.Since(start), s.next-1
	runtime.ReadMemStats(&after)
	f.Allocs = after.Mallocs - before.Mallocs
	stop()
	if err == nil && f.Packets == 0 {
		err = fmt.Errorf("no packet was sent")
	}
	if err == nil && s.role.RealTime {
		err = s.stream(p, tail)
	}
	return f, err
}

// stream sends n pictures, at their times if in real time.
func (s *sender) stream(p *pictures, n int) error {
	start := time.Now()
	for i := range n {
		if s.role.RealTime {
			time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / fps)))
		}
		key := s.keyAsked.Swap(false) || s.next%keyEvery == 0
		if err := s.path.send(p.at(s.next, key), key, s.next); err != nil {
			return fmt.Errorf("picture %d: %w", s.next, err)
		}
		s.next++
	}
	if s.role.RealTime {
		time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / fps)))
	}
	return nil
}

// usage is the CPU time of this process so far.
func usage() (user, system time.Duration) {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

// profile writes a CPU profile to file until stop is called; "" = none.
func profile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("write profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}
