package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cloudretro/cloudretro/worker/engine/sandbox"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// process is one core process.
type process struct {
	conn   *net.UnixConn
	reader *wire.Reader
	child  *os.Process
	tail   *tail         // what it wrote last
	exited chan struct{} // closed when it has ended and all it wrote has been read
	state  *os.ProcessState
	hung   atomic.Bool // the watchdog killed it

	unconfined sandbox.Report // what this host did not let us take from it
}

// errNoProcess says that the child could not even be started.
var errNoProcess = errors.New("cannot start a core process")

// spawn starts a core process with memory as its file descriptor 4.
func (e *Engine) spawn(memory *os.File) (*process, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoProcess, err)
	}
	defer theirs.Close()
	output, childOutput, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("%w: %w", errNoProcess, err)
	}
	defer childOutput.Close()
	p := &process{
		conn: ours, reader: wire.NewReader(ours, wire.MaxMessage),
		tail: newTail(e.cfg.Logger, &e.logDropped), exited: make(chan struct{}),
	}
	started := make(chan error)
	command := func() *exec.Cmd {
		cmd := exec.Command(e.cfg.Command[0], e.cfg.Command[1:]...)
		cmd.Env = append([]string{}, e.cfg.Env...) // not nil: nil would inherit the worker's
		cmd.Dir = "/"
		cmd.Stdout, cmd.Stderr = childOutput, childOutput
		cmd.ExtraFiles = []*os.File{theirs, memory}
		return cmd
	}
	go p.live(e, command, output, started)
	if err := <-started; err != nil {
		ours.Close()
		return nil, fmt.Errorf("%w: %w", errNoProcess, err)
	}
	if err := offerFirst(p.child.Pid); err != nil {
		p.unconfined = append(p.unconfined, "memory: "+err.Error())
	}
	return p, nil
}

// live starts the child, waits until it has ended and closes exited. It keeps
// an OS thread for it: what is taken from that thread (package sandbox) the child
// does not get, and the child dies with its parent's thread. The thread ends with
// the goroutine.
func (p *process) live(e *Engine, command func() *exec.Cmd, output *os.File, started chan<- error) {
	runtime.LockOSThread()
	cmd, err := p.startConfined(e, command)
	if err != nil {
		output.Close()
		started <- err
		return
	}
	p.child = cmd.Process
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.tail.copy(output)
		output.Close()
	}()
	started <- nil
	_ = cmd.Wait() // the state says it all
	p.state = cmd.ProcessState
	select {
	case <-read:
	case <-time.After(time.Second): // a grandchild holds the pipe
		_ = output.SetReadDeadline(time.Now())
		<-read
	}
	close(p.exited)
}

// startConfined starts the child with as few rights as this host lets it have.
func (p *process) startConfined(e *Engine, command func() *exec.Cmd) (*exec.Cmd, error) {
	cmd := command()
	p.unconfined = sandbox.Thread(reachable(cmd.Path, &e.spec))
	if e.sharedNetwork == nil {
		cmd.SysProcAttr = childAttributes(true)
		err := cmd.Start()
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return cmd, err
		}
		e.sharedNetwork = err
		cmd = command()
	}
	p.unconfined = append(p.unconfined, "network namespace: "+e.sharedNetwork.Error())
	cmd.SysProcAttr = childAttributes(false)
	return cmd, cmd.Start()
}

// kill ends the process at once; one that has ended already is left alone.
func (p *process) kill() { _ = p.child.Kill() }

// stop asks the process to end, kills it after grace, and returns when it has ended.
func (p *process) stop(grace time.Duration) {
	defer p.conn.Close()
	if p.send(wire.TypeStop, nil) == nil {
		select {
		case <-p.exited:
			return
		case <-time.After(grace):
		}
	}
	p.kill()
	<-p.exited
}

// send writes a command. A process that does not read for so long is beyond help.
func (p *process) send(t wire.Type, payload []byte) error {
	msg, err := wire.AppendMessage(nil, t, payload)
	if err != nil {
		return err
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = p.conn.Write(msg)
	return err
}

// cause says in words why an ended process ended.
func (p *process) cause() string {
	status, _ := p.state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return fmt.Sprintf("ended by signal %d (%v)", int(status.Signal()), status.Signal())
	}
	return fmt.Sprintf("ended with status %d", status.ExitStatus())
}

// watch kills the process when progress stands still for limit. It returns when
// the process has ended or ctx ends. It counts checks, not time: a host or a
// worker that was suspended must not look like a hang.
func (p *process) watch(ctx context.Context, progress func() uint64, limit time.Duration) {
	const checks = 6
	ticker := time.NewTicker(limit / checks)
	defer ticker.Stop()
	last, idle := progress(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.exited:
			return
		case <-ticker.C:
		}
		if now := progress(); now != last {
			last, idle = now, 0
		} else if idle++; idle >= checks {
			p.hung.Store(true)
			p.kill()
			return
		}
	}
}

// explain makes the error with which the stream of an ended process ended one
// that says why.
func (p *process) explain(err error) error {
	switch {
	case errors.Is(err, ErrLoad), errors.Is(err, ErrEnded):
		return err
	case p.hung.Load():
		return errHung
	case errors.Is(err, wire.ErrProtocol):
		return err
	}
	return errors.New(p.cause())
}
