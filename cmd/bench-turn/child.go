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
	"strconv"
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

// Processors of the servers and of the load. Machines with one share it.
const (
	serverCPU = 0
	loadCPU   = 1
)

// startPinned starts a command that has only this processor, and knows it from
// its first moment: servers choose their number of threads by that.
func startPinned(cmd *exec.Cmd, processor int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := pin(0, processor); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil { // inherits what this thread has
		return fmt.Errorf("start process: %w", err)
	}
	return pin(0, loadCPU)
}

// pinAll binds all threads of this process, hence those that they will start.
func pinAll(processor int) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err == nil {
			err = pin(tid, processor)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pin binds a thread, 0 = this one, to one processor.
func pin(tid, processor int) error {
	var set unix.CPUSet
	set.Set(processor % runtime.NumCPU())
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("pin thread: %w", err)
	}
	return nil
}
