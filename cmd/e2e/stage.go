// Package e2e sets up the real thing: the cloudretro binary as separate
// processes, and a headless Chromium that plays on it. Its tests run when
// CLOUDRETRO_E2E is set (make e2e); the benchmarks under cmd use it as their
// harness. Everything stays on loopback, on ports that were free a moment ago.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles the binary into dir and returns its path. The environment
// variable CLOUDRETRO_BIN names one that is ready instead.
func Build(ctx context.Context, dir string) (string, error) {
	if bin := os.Getenv("CLOUDRETRO_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	bin := filepath.Join(dir, "cloudretro")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "github.com/cloudretro/cloudretro/cmd/cloudretro")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return bin, nil
}

// Options of a stage; the zero value plays with all roles in one process.
type Options struct {
	Bin    string            // path of the binary
	Dir    string            // scratch folder, owned by the caller
	Games  string            // library.basePath, "" = built-in games only
	Split  bool              // one process per role
	Config map[string]string // further environment, e.g. CLOUDRETRO_ENCODER_VIDEO_SCALE=1
}

// neverOverloaded has workers start games however late their frames are: they
// share this machine with browsers.
const neverOverloaded = "CLOUDRETRO_WORKER_ROOMS_LATELIMIT=1000"

// Stage is a running installation.
type Stage struct {
	URL       string // of the page, no slash at the end
	Processes []*Process

	options Options
	env     []string
}

// Process is one started binary.
type Process struct {
	Name string
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
	err  error
}

// Start runs an installation and returns when its page lists a game.
func Start(ctx context.Context, o Options) (*Stage, error) {
	page, media, probe, gate, err := freePorts()
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(),
		fmt.Sprintf("CLOUDRETRO_COORDINATOR_SERVER_ADDRESS=127.0.0.1:%d", page),
		fmt.Sprintf("CLOUDRETRO_WORKER_NETWORK_COORDINATORADDRESS=127.0.0.1:%d", page),
		fmt.Sprintf("CLOUDRETRO_TURN_COORDINATORADDRESS=127.0.0.1:%d", page),
		fmt.Sprintf("CLOUDRETRO_WORKER_SERVER_ADDRESS=127.0.0.1:%d", probe),
		fmt.Sprintf("CLOUDRETRO_WEBRTC_SINGLEPORT=%d", media),
		fmt.Sprintf(`CLOUDRETRO_TURN_LISTENERS=[{"protocol":"udp","address":"127.0.0.1:%d"}]`, gate),
		"CLOUDRETRO_OPS_ADDRESS=", neverOverloaded,
	)
	if o.Games != "" {
		env = append(env, "CLOUDRETRO_LIBRARY_BASEPATH="+o.Games)
	}
	for k, v := range o.Config {
		env = append(env, k+"="+v)
	}
	s := &Stage{URL: fmt.Sprintf("http://127.0.0.1:%d", page), options: o}
	roles := []string{""}
	if o.Split {
		roles = []string{"coordinator", "worker", "turn"}
		env = append(env, "CLOUDRETRO_SECRETS_WORKER=a-secret-for-the-tests-of-32-bytes")
	}
	s.env = env
	for _, role := range roles {
		p, err := startProcess(o, role, env)
		if err != nil {
			return nil, errors.Join(err, s.Stop())
		}
		s.Processes = append(s.Processes, p)
	}
	if err := s.awaitGames(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func startProcess(o Options, role string, env []string) (*Process, error) {
	args := []string{o.Bin}
	name := "all"
	if role != "" {
		args, name = append(args, "--role="+role), role
	}
	return startCommand(name, o.Dir, env, args...)
}

// startCommand starts a program that ends with this one.
func startCommand(name, dir string, env []string, args ...string) (*Process, error) {
	p := &Process{Name: name, cmd: exec.Command(args[0], args[1:]...), log: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = env, dir
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// awaitGames returns when the page lists games.
func (s *Stage) awaitGames(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		games, err := s.Games(ctx)
		if err == nil && len(games) > 0 {
			return nil
		}
		if errors.Is(err, errSignIn) {
			return err
		}
		for _, p := range s.Processes {
			select {
			case <-p.done:
				return fmt.Errorf("%s ended early: %w\n%s", p.Name, p.err, p.Log())
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no game is offered: %w\n%s", errors.Join(err, ctx.Err()), s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Restart starts a process that has ended again, in its place.
func (s *Stage) Restart(p *Process) error {
	again, err := startProcess(s.options, p.Name, s.env)
	if err != nil {
		return err
	}
	for i := range s.Processes {
		if s.Processes[i] == p {
			s.Processes[i] = again
		}
	}
	return nil
}

// Game is an entry of /api/games.
type Game struct{ ID, Title, System string }

// errSignIn says that games are listed for who is signed in only.
var errSignIn = errors.New("sign in first")

// Games asks for the list of games.
func (s *Stage) Games(ctx context.Context) ([]Game, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/games", http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusUnauthorized {
		return nil, errSignIn
	}
	var games []Game
	if err := json.NewDecoder(res.Body).Decode(&games); err != nil {
		return nil, fmt.Errorf("GET /api/games: %w", err)
	}
	return games, nil
}

// GameOf returns the first game of a system, or an error that lists what there is.
func (s *Stage) GameOf(ctx context.Context, system string) (Game, error) {
	games, err := s.Games(ctx)
	if err != nil {
		return Game{}, err
	}
	for _, g := range games {
		if g.System == system {
			return g, nil
		}
	}
	return Game{}, fmt.Errorf("no game of system %q among %v", system, games)
}

// Process returns the process that runs a role.
func (s *Stage) Process(role string) *Process {
	for _, p := range s.Processes {
		if p.Name == role || p.Name == "all" {
			return p
		}
	}
	return nil
}

// Cores returns the pids of the core processes under the worker.
func (s *Stage) Cores() []int {
	worker := s.Process("worker")
	if worker == nil {
		return nil
	}
	return children(worker.Pid())
}

// Log is what all processes printed so far.
func (s *Stage) Log() string {
	var b strings.Builder
	for _, p := range s.Processes {
		fmt.Fprintf(&b, "--- %s\n%s", p.Name, p.Log())
	}
	return b.String()
}

// Stop asks every process to end and reports those that did not end cleanly.
func (s *Stage) Stop() error {
	var errs []error
	for _, p := range s.Processes {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}

// Pid of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is what the process printed so far.
func (p *Process) Log() string { return p.log.String() }

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop sends SIGTERM and waits; an exit code other than 0, or none within 15 s, is an error.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.Kill()
		return fmt.Errorf("%s did not stop within 15 s\n%s", p.Name, p.Log())
	}
	if p.err != nil && p.cmd.ProcessState.ExitCode() != -1 {
		return fmt.Errorf("%s: %w\n%s", p.Name, p.err, p.Log())
	}
	return nil
}

// freePorts finds ports that nobody uses: TCP page, UDP media, TCP probe, UDP gate.
func freePorts() (page, media, probe, gate int, err error) {
	for _, p := range []struct {
		port *int
		udp  bool
	}{{&page, false}, {&media, true}, {&probe, false}, {&gate, true}} {
		if *p.port, err = freePort(p.udp); err != nil {
			return 0, 0, 0, 0, fmt.Errorf("find a free port: %w", err)
		}
	}
	return page, media, probe, gate, nil
}

func freePort(udp bool) (int, error) {
	if udp {
		c, err := net.ListenUDP("udp4", nil)
		if err != nil {
			return 0, err
		}
		defer func() { _ = c.Close() }()
		return c.LocalAddr().(*net.UDPAddr).Port, nil
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// lockedBuffer collects output; it keeps the last 256 KiB.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 256<<10 {
		l.b.Next(l.b.Len() - 128<<10)
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
