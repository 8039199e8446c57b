//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// childCommand makes the test binary a process that confines itself and prints
// what it lacks; the next argument says in what kind of a host it is.
const childCommand = "sandbox-child"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		os.Exit(childMain(os.Args[2]))
	}
	os.Exit(m.Run())
}

func childMain(host string) int {
	runtime.LockOSThread()
	if host == "strict" { // a container that knows none of this
		p := policy{arch: auditArch, last: lastCall}
		for _, call := range []uint32{unix.SYS_SECCOMP, unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_SETRLIMIT, unix.SYS_PRLIMIT64, unix.SYS_CAPGET} {
			p.rules = append(p.rules, rule{call: call, errno: unix.EPERM})
		}
		if err := errors.Join(noNewPrivileges(), install(p)); err != nil {
			fmt.Println("install:", err)
			return 1
		}
	}
	thread := Thread(Files{Program: "/proc/self/exe", Read: []string{"/proc", "/usr", "/does/not/exist"}, Write: []string{os.TempDir()}})
	process := Process(Limits{Memory: 1 << 30, Files: 64, FileSize: 1 << 20})
	fmt.Printf("thread: %v\nprocess: %v\n", thread, process)
	_, err := net.Listen("tcp", "127.0.0.1:0")
	fmt.Println("socket:", errors.Is(err, unix.EPERM))
	for range 100 { // other threads are confined as well
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			done <- exec.Command("/bin/true").Run()
		}()
		if err := <-done; host == "usual" && !errors.Is(err, unix.EPERM) {
			fmt.Println("exec:", err)
			return 1
		}
	}
	_, err = os.ReadFile("/etc/passwd")
	fmt.Println("file:", errors.Is(err, unix.EACCES))
	large := filepath.Join(os.TempDir(), fmt.Sprintf("sandbox-%d", os.Getpid()))
	err = os.WriteFile(large, make([]byte, 2<<20), 0o600)
	_ = os.Remove(large)
	fmt.Println("large:", errors.Is(err, unix.EFBIG))
	return 0
}

func runChild(t *testing.T, host string) string {
	t.Helper()
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		t.Skip("SKIPPED, this kernel has no Landlock: ", errno)
	}
	out, err := exec.CommandContext(t.Context(), os.Args[0], childCommand, host).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestUsualHost(t *testing.T) {
	want := "thread: \nprocess: \nsocket: true\nfile: true\nlarge: true\n"
	if got := runChild(t, "usual"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Where everything is refused the process runs all the same, and says so.
func TestStrictHost(t *testing.T) {
	got := runChild(t, "strict")
	for _, want := range []string{"landlock: operation not permitted", "seccomp: operation not permitted", "limits: RLIMIT_CORE", "RLIMIT_DATA", "socket: false", "file: false"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestReport(t *testing.T) {
	var r Report
	r.add("a", nil)
	if r.String() != "" {
		t.Errorf("%q", r)
	}
	r.add("a", unix.EPERM)
	r.add("b", unix.ENOSYS)
	if got := r.String(); got != "a: operation not permitted; b: function not implemented" {
		t.Errorf("%q", got)
	}
}

// Each version of Landlock can refuse what the one before can.
func TestHandledRights(t *testing.T) {
	before := handled(0)
	if before.Handled_access_fs|before.Handled_access_net|before.Scoped != 0 {
		t.Errorf("version 0 handles %+v", before)
	}
	for abi := 1; abi <= 20; abi++ {
		now := handled(abi)
		if before.Handled_access_fs&^now.Handled_access_fs != 0 || before.Handled_access_net&^now.Handled_access_net != 0 || before.Scoped&^now.Scoped != 0 {
			t.Errorf("version %d handles less than the one before", abi)
		}
		before = now
	}
	if got := handled(1).Handled_access_fs; got != 0x1ffe { // all 13 but EXECUTE
		t.Errorf("version 1 handles %#x", got)
	}
	if handled(7).Handled_access_fs&unix.LANDLOCK_ACCESS_FS_EXECUTE != 0 {
		t.Error("the core process could not be started")
	}
	if handled(6).Scoped&unix.LANDLOCK_SCOPE_SIGNAL != 0 {
		t.Error("version 6 keeps Go's threads from signalling one another")
	}
}

// Without the program among the rules it could not be executed: rather no rules.
func TestProgramThatIsMissing(t *testing.T) {
	err := restrictFiles(Files{Program: "/does/not/exist"})
	if err == nil {
		t.Fatal("restricted")
	}
	if _, err := os.ReadFile("/proc/self/statm"); err != nil {
		t.Errorf("this thread is restricted: %v", err)
	}
}

func TestParseStatm(t *testing.T) {
	page := uint64(os.Getpagesize())
	if got, err := parseStatm("100 50 20 7 0 42 0\n"); err != nil || got != 42*page {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "1 2 3 4 5", "a b c d e f g", "1 2 3 4 5 18446744073709551615"} {
		if got, err := parseStatm(bad); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
	if size, err := dataSize(); err != nil || size == 0 {
		t.Errorf("this process: %d, %v", size, err)
	}
}
