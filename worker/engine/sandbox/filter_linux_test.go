//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const testPid = 4711

// call is a system call as a filter sees it.
type call struct {
	arch, number uint32
	args         [6]uint64
}

// machine interprets an assembled filter.
func machine(t testing.TB, p policy) func(call) uint32 {
	t.Helper()
	program, err := assemble(p)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]bpf.RawInstruction, len(program))
	for i, in := range program {
		raw[i] = bpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	instructions, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("unknown instructions")
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	return func(c call) uint32 {
		// Packets are big endian, seccomp_data is not: each word is written as
		// the interpreter reads it.
		data := make([]byte, 64)
		binary.BigEndian.PutUint32(data[offsetCall:], c.number)
		binary.BigEndian.PutUint32(data[offsetArch:], c.arch)
		for i, a := range c.args {
			binary.BigEndian.PutUint32(data[offsetArgs+8*i:], uint32(a))
			binary.BigEndian.PutUint32(data[offsetArgs+8*i+4:], uint32(a>>32))
		}
		result, err := vm.Run(data)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(result)
	}
}

const allowed = unix.SECCOMP_RET_ALLOW

func refused(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

func TestCorePolicy(t *testing.T) {
	filter := machine(t, corePolicy(testPid))
	eperm, enosys := refused(unix.EPERM), refused(unix.ENOSYS)
	const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD
	for name, tc := range map[string]struct {
		call uint32
		args [6]uint64
		want uint32
	}{
		"read":                    {unix.SYS_READ, [6]uint64{3}, allowed},
		"write":                   {unix.SYS_WRITE, [6]uint64{3}, allowed},
		"mmap":                    {unix.SYS_MMAP, [6]uint64{}, allowed},
		"futex":                   {unix.SYS_FUTEX, [6]uint64{}, allowed},
		"exec":                    {unix.SYS_EXECVE, [6]uint64{}, eperm},
		"socket":                  {unix.SYS_SOCKET, [6]uint64{}, eperm},
		"a thread":                {unix.SYS_CLONE, [6]uint64{threadFlags}, allowed},
		"a process":               {unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}, eperm},
		"thread flag high":        {unix.SYS_CLONE, [6]uint64{unix.CLONE_THREAD << 32}, eperm},
		"clone3":                  {unix.SYS_CLONE3, [6]uint64{}, enosys},
		"signal to itself":        {unix.SYS_KILL, [6]uint64{testPid, 9}, allowed},
		"signal to another":       {unix.SYS_KILL, [6]uint64{testPid + 1, 9}, eperm},
		"signal to all":           {unix.SYS_KILL, [6]uint64{0xffffffff, 9}, eperm},
		"signal to the group":     {unix.SYS_KILL, [6]uint64{0, 9}, eperm},
		"signal to a thread":      {unix.SYS_TGKILL, [6]uint64{testPid, 5, 23}, allowed},
		"to another's thread":     {unix.SYS_TGKILL, [6]uint64{1, testPid, 23}, eperm},
		"duplicate":               {unix.SYS_FCNTL, [6]uint64{3, unix.F_DUPFD_CLOEXEC}, allowed},
		"owner of signals":        {unix.SYS_FCNTL, [6]uint64{3, unix.F_SETOWN, 1}, eperm},
		"kind of signals":         {unix.SYS_FCNTL, [6]uint64{3, unix.F_SETSIG, 9}, eperm},
		"window size":             {unix.SYS_IOCTL, [6]uint64{1, unix.TIOCGWINSZ}, allowed},
		"typing":                  {unix.SYS_IOCTL, [6]uint64{0, unix.TIOCSTI}, eperm},
		"typing, 64 bits":         {unix.SYS_IOCTL, [6]uint64{0, 1<<32 | unix.TIOCSTI}, eperm},
		"name of a thread":        {unix.SYS_PRCTL, [6]uint64{unix.PR_SET_NAME}, allowed},
		"to outlive the worker":   {unix.SYS_PRCTL, [6]uint64{unix.PR_SET_PDEATHSIG}, eperm},
		"read a limit":            {unix.SYS_PRLIMIT64, [6]uint64{0, 7, 0, 1}, allowed},
		"set a limit":             {unix.SYS_PRLIMIT64, [6]uint64{0, 7, 0x1000, 0}, eperm},
		"set a limit, high":       {unix.SYS_PRLIMIT64, [6]uint64{0, 7, 1 << 32, 0}, eperm},
		"open":                    {unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_RDONLY | unix.O_CLOEXEC}, allowed},
		"open to write anew":      {unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC}, allowed},
		"open both ways anew":     {unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_RDWR | unix.O_TRUNC}, allowed},
		"open to read, truncated": {unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_RDONLY | unix.O_TRUNC | unix.O_CLOEXEC}, eperm},
		"open in mode 3":          {unix.SYS_OPENAT, [6]uint64{0, 0, 3 | unix.O_TRUNC}, eperm},
		"openat2":                 {unix.SYS_OPENAT2, [6]uint64{}, enosys},
		"the last known":          {lastCall, [6]uint64{}, allowed},
		"a later one":             {lastCall + 1, [6]uint64{}, enosys},
		"x32":                     {0x40000000 | unix.SYS_READ, [6]uint64{}, enosys},
		"negative":                {0xffffffff, [6]uint64{}, enosys},
	} {
		t.Run(name, func(t *testing.T) {
			if got := filter(call{auditArch, tc.call, tc.args}); got != tc.want {
				t.Errorf("got %#x, want %#x", got, tc.want)
			}
		})
	}
}

// Whatever the number, a call of another architecture is refused.
func TestOtherArchitectures(t *testing.T) {
	filter := machine(t, corePolicy(testPid))
	for _, arch := range []uint32{0, 0x40000003 /* i386 */, auditArch ^ 1, unix.AUDIT_ARCH_AARCH64 ^ unix.AUDIT_ARCH_X86_64 ^ auditArch} {
		for number := range uint32(500) {
			if got := filter(call{arch, number, [6]uint64{testPid}}); got != refused(unix.EPERM) {
				t.Fatalf("arch %#x call %d: %#x", arch, number, got)
			}
		}
	}
}

// The filter and the table behind it agree on every call and many arguments.
func TestFilterIsItsPolicy(t *testing.T) {
	p := corePolicy(testPid)
	filter := machine(t, p)
	values := []uint64{0, 1, 3, testPid, unix.CLONE_THREAD, unix.O_TRUNC, unix.O_TRUNC | 3, unix.F_SETOWN, 1 << 32, ^uint64(0)}
	for number := range uint32(lastCall + 2) {
		for _, v := range values {
			c := call{auditArch, number, [6]uint64{v, v, v, v, v, v}}
			if got, want := filter(c), p.decide(c); got != want {
				t.Fatalf("call %d with %#x: %#x, want %#x", number, v, got, want)
			}
		}
	}
}

// decide says slowly and plainly what assemble makes of a policy.
func (p policy) decide(c call) uint32 {
	switch {
	case c.arch != p.arch:
		return refused(unix.EPERM)
	case c.number > p.last:
		return refused(unix.ENOSYS)
	}
	at := slices.IndexFunc(p.rules, func(r rule) bool { return r.call == c.number })
	if at < 0 {
		return allowed
	}
	r := p.rules[at]
	hit := len(r.checks) == 0
	for _, k := range r.checks {
		half := uint32(c.args[k.word/2] >> (32 * (k.word % 2)))
		hit = hit || (half&k.mask == k.value) == k.equal
	}
	if hit {
		return refused(r.errno)
	}
	return allowed
}

// A second rule for the same call would never be reached.
func TestEachCallHasOneRule(t *testing.T) {
	seen := make(map[uint32]bool)
	for _, r := range corePolicy(testPid).rules {
		if seen[r.call] {
			t.Errorf("call %d has two rules", r.call)
		}
		seen[r.call] = true
		if r.call > lastCall {
			t.Errorf("call %d is refused anyway", r.call)
		}
	}
}

func TestFilterThatIsTooLong(t *testing.T) {
	long := policy{rules: []rule{{checks: make([]check, 100)}}}
	if _, err := assemble(long); !errors.Is(err, errTooLong) {
		t.Errorf("a rule of 100 checks: %v", err)
	}
	if _, err := assemble(policy{rules: make([]rule, 3000)}); !errors.Is(err, errTooLong) {
		t.Errorf("3000 rules: %v", err)
	}
}

func FuzzFilter(f *testing.F) {
	p := corePolicy(testPid)
	filter := machine(f, p)
	f.Add(uint32(auditArch), uint32(unix.SYS_CLONE), uint64(unix.CLONE_THREAD), uint64(0), uint64(0))
	f.Add(uint32(0), uint32(unix.SYS_READ), uint64(0), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, arch, number uint32, a, b, c uint64) {
		it := call{arch, number, [6]uint64{a, b, c}}
		if got, want := filter(it), p.decide(it); got != want {
			t.Errorf("%+v: %#x, want %#x", it, got, want)
		}
	})
}
