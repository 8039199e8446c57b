package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asProgram makes the test binary behave as cloudretro itself, so that tests
// have real processes and real signals.
const asProgram = "CLOUDRETRO_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	core := len(os.Args) == 2 && os.Args[1] == "core" // a worker's child
	if core || os.Getenv(asProgram) != "" {
		os.Exit(start())
	}
	os.Exit(m.Run())
}

// process is a running cloudretro.
type process struct {
	cmd  *exec.Cmd
	line string // what it printed first

	mu   sync.Mutex
	errs bytes.Buffer
}

// Write collects standard error.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errs.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errs.String()
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Dir = t.TempDir()
	return cmd
}

// startProcess runs cloudretro until it has greeted.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: command(t, args...)}
	p.cmd.Stderr = p
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // an error is that of the signal, or that the test has waited
	})
	p.line, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait()
		t.Fatalf("no greeting: %v\n%s", err, p.log())
	}
	return p
}

// quiet is flags that keep a process on free ports of loopback.
func quiet(more ...string) []string {
	var args []string
	for _, set := range []string{
		"coordinator.server.address=127.0.0.1:0", "worker.server.address=127.0.0.1:0", "webrtc.singlePort=0",
		"turn.listeners=[{protocol: udp, address: '127.0.0.1:0'}]", "ops.address=",
	} {
		args = append(args, "--set", set)
	}
	return append(args, more...)
}

// others is the roles that every build has, with their secret.
func others() []string {
	return quiet("--role=coordinator,turn", "--set", "secrets.worker=0123456789abcdef0123")
}

func TestSignalsEndItCleanly(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			args := quiet()
			if engineAvailable() != nil {
				args = others()
			}
			p := startProcess(t, append(args, "--set", "library.basePath=")...)
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("ended with %v, want exit code 0\n%s", err, p.log())
			}
			if strings.Contains(p.log(), "ERROR") || strings.Contains(p.log(), "WARN") {
				t.Errorf("an end on request is no error:\n%s", p.log())
			}
		})
	}
}

// run starts a process that must end by itself, with its exit code and text.
func run(t *testing.T, args ...string) (code int, text string) {
	t.Helper()
	out, err := command(t, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		return exit.ExitCode(), string(out)
	}
	return 0, string(out)
}

func TestExitCodes(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"version", []string{"version"}, 0, "cloudretro "},
		{"help", []string{"--help"}, 0, "Usage:"},
		{"usage", []string{"--nonsense"}, 2, "--help"},
		{"configuration", []string{"--set", "a=b"}, 1, "unknown key"},
		{"nobody to ask", []string{"health", "--set", "ops.address=127.0.0.1:1"}, 1, "nobody answers"},
		{"a core process without its worker", []string{"core"}, 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, text := run(t, tt.args...)
			if code != tt.code && (tt.name != "a core process without its worker" || code == 0) || !strings.Contains(text, tt.want) {
				t.Errorf("exit code %d, want %d; text, want %q:\n%s", code, tt.code, tt.want, text)
			}
		})
	}
}

// busyTCP and busyUDP take a port of loopback until the test ends.
func busyTCP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func busyUDP(t *testing.T, host string) *net.UDPAddr {
	t.Helper()
	c, err := net.ListenPacket("udp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().(*net.UDPAddr)
}

func TestPortsInUse(t *testing.T) {
	tcp, udp := busyTCP(t), busyUDP(t, "127.0.0.1").String()
	tests := []struct {
		key, set string
		args     []string
		worker   bool
	}{
		{"coordinator.server.address", "coordinator.server.address=" + tcp, others(), false},
		{"turn.listeners", "turn.listeners=[{protocol: udp, address: '" + udp + "'}]", others(), false},
		{"ops.address", "ops.address=" + tcp, others(), false},
		{"worker.server.address", "worker.server.address=" + tcp, quiet(), true},
		{"webrtc.singlePort", fmt.Sprintf("webrtc.singlePort=%d", busyUDP(t, "").Port), quiet(), true},
	}
	for _, tt := range tests {
		t.Run(tt.key, func(t *testing.T) {
			if err := engineAvailable(); tt.worker && err != nil {
				t.Skipf("SKIPPED: %v", err)
			}
			code, text := run(t, append(tt.args, "--set", tt.set)...)
			for _, want := range []string{tt.key, "already in use", "another program listens there", "set another"} {
				if code != exitFailed || !strings.Contains(text, want) {
					t.Errorf("exit code %d; the text does not say %q:\n%s", code, want, text)
				}
			}
		})
	}
}

func TestSeparateRolesNeedASecret(t *testing.T) {
	for _, role := range []string{"coordinator", "worker", "turn"} {
		code, text := run(t, quiet("--role="+role)...)
		if code != exitFailed || !strings.Contains(text, "CLOUDRETRO_SECRETS_WORKER") {
			t.Errorf("role %s: exit code %d, %s", role, code, text)
		}
	}
}

func TestUnreadableLibrary(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	code, text := run(t, quiet("--set", "library.basePath=/nowhere/at/all")...)
	for _, want := range []string{"library.basePath", "/nowhere/at/all", "create it"} {
		if code != exitFailed || !strings.Contains(text, want) {
			t.Errorf("exit code %d; the text does not say %q:\n%s", code, want, text)
		}
	}
}

func TestWithoutCgoTheWorkerSaysSo(t *testing.T) {
	if engineAvailable() == nil {
		t.Skip("SKIPPED: this build has all; see make lint for the one without cgo")
	}
	code, text := run(t, quiet()...)
	if code != exitFailed || !strings.Contains(text, "role worker") || !strings.Contains(text, "--role=coordinator,turn") {
		t.Errorf("exit code %d, %s", code, text)
	}
}

// All roles in one process: the page comes, the games that are built in are
// listed, and nothing is left behind at the end.
func TestAllRolesStartAndEnd(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Chdir(t.TempDir())
	greeting := make(greetingWriter, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		p := program{stdout: greeting, stderr: io.Discard}
		done <- p.main(ctx, quiet())
	}()
	var page string
	select {
	case line := <-greeting:
		page = strings.TrimSpace(strings.TrimPrefix(line, "CloudRetro plays at "))
	case err := <-done:
		t.Fatalf("ended with %v", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	awaitGames(t, client, page)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// greetingWriter hands on the one line that a program prints.
type greetingWriter chan string

func (w greetingWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}

// awaitGames asks until the worker has joined and the test card is listed.
func awaitGames(t *testing.T, client *http.Client, page string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, page+"/api/games", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatalf("the page does not answer: %v", err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil && strings.Contains(string(body), `"test-card"`) {
			return
		}
		<-tick.C
	}
}
