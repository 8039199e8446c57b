package sandbox

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (include/uapi/linux/seccomp.h); the low word
// of an argument comes first on the little endian machines that we know.
const (
	offsetCall = 0
	offsetArch = 4
	offsetArgs = 16
)

// word is one half of an argument of a system call: 2*n is the low word of
// argument n, 2*n+1 its high word.
type word uint32

// check compares a part of an argument. It hits if (word & mask == value) is equal.
type check struct {
	word        word
	mask, value uint32
	equal       bool
}

// rule refuses a system call with errno: always, or if one of the checks hits.
type rule struct {
	call   uint32
	errno  unix.Errno
	checks []check
}

// policy is everything that a filter refuses.
type policy struct {
	arch  uint32 // AUDIT_ARCH_*; calls of any other are refused with EPERM
	last  uint32 // calls above are refused with ENOSYS, as if the kernel were older
	rules []rule
}

var errTooLong = errors.New("the filter is longer than the kernel takes")

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func refuse(e unix.Errno) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(e)&unix.SECCOMP_RET_DATA}
}

func allow() unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
}

// jump goes on after yes or no instructions.
func jump(op uint16, value uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: uint8(yes), Jf: uint8(no), K: value}
}

// assemble makes a filter (Documentation/userspace-api/seccomp_filter.rst) of a
// policy. Each rule is a block of its own that is skipped for other calls, so
// that no jump is long. The kernel remembers which calls are always allowed
// (since Linux 5.11) and does not run the filter for them.
func assemble(p policy) ([]unix.SockFilter, error) {
	program := []unix.SockFilter{
		load(offsetArch),
		jump(unix.BPF_JEQ, p.arch, 1, 0),
		refuse(unix.EPERM),
		load(offsetCall),
		jump(unix.BPF_JGT, p.last, 0, 1),
		refuse(unix.ENOSYS),
	}
	for _, r := range p.rules {
		body := r.body()
		if len(body) > 0xff {
			return nil, errTooLong
		}
		program = append(program, jump(unix.BPF_JEQ, r.call, 0, len(body)))
		program = append(program, body...)
	}
	program = append(program, allow())
	if len(program) > unix.BPF_MAXINSNS {
		return nil, errTooLong
	}
	return program, nil
}

// body is what happens to the call of the rule; it never falls through.
func (r rule) body() []unix.SockFilter {
	if len(r.checks) == 0 {
		return []unix.SockFilter{refuse(r.errno)}
	}
	var body []unix.SockFilter
	for _, c := range r.checks {
		body = append(body, load(offsetArgs+4*uint32(c.word)))
		if c.mask != ^uint32(0) {
			body = append(body, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: c.mask})
		}
		hit := jump(unix.BPF_JEQ, c.value, 0, 1)
		if !c.equal {
			hit = jump(unix.BPF_JEQ, c.value, 1, 0)
		}
		body = append(body, hit, refuse(r.errno))
	}
	return append(body, allow())
}
