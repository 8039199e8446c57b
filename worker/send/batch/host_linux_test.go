package batch

import (
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// host is a network namespace without a name: a thread of its own, and gone with
// it and the sockets that were opened there.
type host struct {
	t     *testing.T
	calls chan func()
	tid   int
}

func newHost(t *testing.T) *host {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("NOT TESTED: no network namespace without iproute2:", err)
	}
	h := &host{t: t, calls: make(chan func())}
	entered, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		h.tid = unix.Gettid()
		entered <- err
		for call := range h.calls {
			call()
		}
	}()
	t.Cleanup(func() { close(h.calls); <-ended })
	if err := <-entered; err != nil {
		t.Skip("NOT TESTED: no network namespace, which takes root:", err)
	}
	return h
}

// do runs f on the host: sockets that it opens are the host's.
func (h *host) do(f func()) {
	done := make(chan struct{})
	h.calls <- func() { defer close(done); f() }
	<-done
}

// ip runs ip(8) on the host, one command a line.
func (h *host) ip(lines ...string) {
	h.t.Helper()
	h.do(func() {
		for _, line := range lines {
			if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
				h.t.Errorf("ip %s: %v: %s", line, err, out)
			}
		}
	})
	if h.t.Failed() {
		h.t.FailNow()
	}
}

// sysctl writes one of the host's settings.
func (h *host) sysctl(name, value string) {
	h.t.Helper()
	h.do(func() {
		if out, err := exec.Command("sh", "-c", "echo "+value+" > /proc/sys/"+name).CombinedOutput(); err != nil {
			h.t.Errorf("sysctl %s: %v: %s", name, err, out)
		}
	})
}

// join lays a cable between two hosts. Each end gets an IPv4 and an IPv6 address
// in the networks 10.0.net.0/24 and fd00:net::/64: .1 and ::1 here, .2 and ::2
// there.
func (h *host) join(other *host, network, mtu int) {
	h.t.Helper()
	n, m := strconv.Itoa(network), strconv.Itoa(mtu)
	h.ip("link add v" + n + " mtu " + m + " type veth peer name v" + n + " mtu " + m + " netns " + strconv.Itoa(other.tid))
	for i, end := range []*host{h, other} {
		address := strconv.Itoa(i + 1)
		end.ip("link set lo up", "link set v"+n+" up",
			"addr add 10.0."+n+"."+address+"/24 dev v"+n,
			"addr add fd00:"+n+"::"+address+"/64 dev v"+n+" nodad")
	}
}
