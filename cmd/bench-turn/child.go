//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// childEnv names the role of a child process: "load" or a server.
const childEnv = "CLOUDRETRO_BENCH_TURN"

// optionsEnv hands the options to the load.
const optionsEnv = "CLOUDRETRO_BENCH_TURN_OPTIONS"

// runLoad runs the load, which starts the servers, in a new network namespace.
func runLoad(ctx context.Context, o options) error {
	text, err := json.Marshal(wire{o.quick, o.only, int64(o.duration), o.rounds})
	if err != nil {
		return fmt.Errorf("encode options: %w", err)
	}
	cmd, err := again(ctx, "load")
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, optionsEnv+"="+string(text))
	cmd.Stdout = os.Stdout
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	return nil
}

// wire is options as JSON.
type wire struct {
	Quick    bool
	Only     string
	Duration int64
	Rounds   int
}

// again is this program in another role. It ends with its parent, and with
// SIGTERM when ctx ends.
func again(ctx context.Context, role string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	prepare(cmd)
	return cmd, nil
}

// prepare makes a command end with its parent, and softly when its context does.
func prepare(cmd *exec.Cmd) {
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
}

// runChild is the main function of a child.
func runChild(role string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if role != "load" {
		return serve(ctx, role)
	}
	var w wire
	if err := json.Unmarshal([]byte(os.Getenv(optionsEnv)), &w); err != nil {
		return fmt.Errorf("decode options: %w", err)
	}
	if err := raiseLoopback(); err != nil {
		return err
	}
	return measureAll(ctx, w)
}

// raiseLoopback brings up the one interface of a new namespace.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("name lo: %w", err)
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) != 1 {
		return fmt.Errorf("the namespace has %d interfaces, want lo alone: %w", len(interfaces), err)
	}
	return nil
}

// pin binds a process, all its threads to be, to one processor. Machines with
// one only share it.
func pin(pid, processor int) error {
	var set unix.CPUSet
	set.Set(processor % runtime.NumCPU())
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, task := range tasks {
		var tid int
		if _, err := fmt.Sscan(strings.TrimSpace(task.Name()), &tid); err != nil {
			return fmt.Errorf("read thread %q: %w", task.Name(), err)
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("pin thread: %w", err)
		}
	}
	return nil
}
