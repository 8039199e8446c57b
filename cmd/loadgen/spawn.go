package loadgen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const (
	spawnPatience = 15 * time.Second // until a coordinator is up
	endPatience   = 10 * time.Second // until it has ended
)

// spawned are coordinators that we have started.
type spawned struct {
	mu       sync.Mutex
	children []*child
	ended    error // that one of them ended, unless we ended it
	closing  bool
	wait     sync.WaitGroup
}

type child struct {
	cmd  *exec.Cmd
	done chan struct{} // it has ended
}

// spawn starts the coordinators that the options ask for, and writes into these
// where they are.
func spawn(ctx context.Context, o *Options) (*spawned, error) {
	s := &spawned{}
	if o.Spawn > 0 && o.Secret == "" {
		o.Secret = signal.NewID()
	}
	for range o.Spawn {
		if err := s.start(ctx, o); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// start starts one more and waits until it is ready.
func (s *spawned) start(ctx context.Context, o *Options) error {
	page, err := freePort()
	if err != nil {
		return err
	}
	ops, err := freePort()
	if err != nil {
		return err
	}
	cmd, err := command(o, page, ops)
	if err != nil {
		return err
	}
	if err := s.run(cmd, o); err != nil {
		return fmt.Errorf("start a coordinator: %w", err)
	}
	o.Coordinators, o.Ops = append(o.Coordinators, page), append(o.Ops, ops)
	ctx, cancel := context.WithTimeout(ctx, spawnPatience)
	defer cancel()
	for !ready(ctx, ops) {
		if err := s.fault(); err != nil {
			return err
		}
		if !wait(ctx, tickPeriod/5) {
			return errors.New("a coordinator that was started does not become ready")
		}
	}
	return nil
}

// command is that of a coordinator. What is secret goes by its environment.
func command(o *Options, page, ops string) (*exec.Cmd, error) {
	binary := o.Binary
	if binary == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		binary = self
	}
	args := []string{
		binary, "--role", "coordinator", "--set", "coordinator.server.address=" + page, "--set", "ops.address=" + ops,
		"--set", "ops.pprof=true", "--set", "log.level=warn",
		"--set", fmt.Sprintf("coordinator.limits.pages=%d", o.Browsers+o.Starts+1000), "--set", fmt.Sprintf("coordinator.limits.workers=%d", o.Workers+100),
	}
	if taskset, err := exec.LookPath("taskset"); err == nil && o.CPU != "" {
		args = append([]string{taskset, "-c", o.CPU}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "CLOUDRETRO_SECRETS_WORKER="+o.Secret)
	return cmd, nil
}

// run starts a process; what it says goes to the log.
func (s *spawned) run(cmd *exec.Cmd, o *Options) error {
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c := &child{cmd, make(chan struct{})}
	s.children = append(s.children, c)
	s.wait.Go(func() {
		defer close(c.done)
		last := ""
		for lines := bufio.NewScanner(said); lines.Scan(); {
			last = lines.Text()
			o.Logger.Warn("a coordinator says", "line", last)
		}
		_, _ = io.Copy(io.Discard, said) // behind a line that is too long: it must not block on us
		err := cmd.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closing && s.ended == nil {
			s.ended = fmt.Errorf("a coordinator that was started has ended: %w: %s", errors.Join(err, errEnded), signal.Clip(last))
		}
	})
	return nil
}

var errEnded = errors.New("nobody told it to")

// fault is that a coordinator has ended by itself, or nil.
func (s *spawned) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// close ends all of them and waits.
func (s *spawned) close() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	for _, c := range s.children {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	late := time.NewTimer(endPatience)
	defer late.Stop()
	for _, c := range s.children {
		select {
		case <-c.done:
		case <-late.C:
			for _, c := range s.children {
				_ = c.cmd.Process.Kill()
			}
		}
	}
	s.wait.Wait()
}

// freePort is an address of this machine that is free just now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// ready asks /livez: at /readyz it waits for workers, which are to come.
func ready(ctx context.Context, ops string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ops+"/livez", nil)
	if err != nil {
		return false
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
