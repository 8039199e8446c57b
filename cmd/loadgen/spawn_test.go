package loadgen

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator"
)

// program is an executable that does what a shell script says.
func program(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestAsCoordinator is no test: it is the program that TestSpawn starts.
func TestAsCoordinator(t *testing.T) {
	args := flag.Args()
	if len(args) == 0 {
		t.Skip("it is started by TestSpawn")
	}
	set := map[string]string{}
	for _, arg := range args[1:] {
		if name, value, ok := strings.Cut(arg, "="); ok {
			set[name] = value
		}
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	c, err := coordinator.New(coordinator.Config{
		Address: set["coordinator.server.address"], Secret: args[0], Web: fstest.MapFS{"index.html": {Data: []byte("page")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", set["ops.address"])
	if err != nil {
		t.Fatal(err)
	}
	ops := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			fmt.Fprintf(w, metrics, 1.0, 1, 2, 3)
		}
	})}
	served := make(chan error, 1)
	go func() { served <- ops.Serve(l) }()
	if err := c.Run(ctx); err != nil {
		t.Error(err)
	}
	_ = ops.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// Coordinators that we start ourselves are ready, looked at, and ended.
func TestSpawn(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := program(t, `exec `+self+` -test.run='^TestAsCoordinator$' -- "$CLOUDRETRO_SECRETS_WORKER" "$@"`)
	r, err := Measure(t.Context(), Options{
		Spawn: 2, Binary: binary, Workers: 2, Browsers: 2, Starts: 4, Rate: 50, Hold: 20 * time.Millisecond,
		Ramp: time.Millisecond, Calm: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	nothingAmiss(t, r)
	if r.Coordinators != 2 || len(r.Usage) != 2 || r.Usage[0].IdleRSS != 100<<20 || r.Usage[1].Sockets != 13 || r.Usage[0].Fault != "" {
		t.Errorf("%+v", r)
	}
}

// What is secret is not in the arguments, which everybody on the machine sees.
func TestCommandOfACoordinator(t *testing.T) {
	o := &Options{Binary: "/the/binary", Secret: "very secret", Browsers: 10, Starts: 20, Workers: 30}
	cmd, err := command(o, "127.0.0.1:1", "127.0.0.1:2")
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Join(cmd.Args, " ")
	for _, want := range []string{
		"/the/binary --role coordinator", "coordinator.server.address=127.0.0.1:1", "ops.address=127.0.0.1:2",
		"coordinator.limits.pages=1030", "coordinator.limits.workers=130",
	} {
		if !strings.Contains(args, want) {
			t.Errorf("%s lacks %s", args, want)
		}
	}
	if strings.Contains(args, o.Secret) || !slices.Contains(cmd.Env, "CLOUDRETRO_SECRETS_WORKER="+o.Secret) {
		t.Errorf("the secret does not go by the environment alone: %s", args)
	}
	o.Binary, o.CPU = "", "0"
	cmd, err = command(o, "a:1", "a:2")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil || !slices.Contains(cmd.Args, self) {
		t.Errorf("%v does not start this program, %v", cmd.Args, err)
	}
	if taskset, err := exec.LookPath("taskset"); err == nil && !slices.Equal(cmd.Args[:4], []string{taskset, "-c", "0", self}) {
		t.Errorf("%v is not pinned", cmd.Args)
	}
}

// One that ends is an error with its last words; however much it says, it is not
// kept waiting.
func TestCoordinatorEnds(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"with words":    {`echo "port is taken" >&2; exit 3`, "port is taken"},
		"with a status": {`exit 3`, "exit status 3"},
		"in order":      {`exit 0`, errEnded.Error()},
		"saying a lot":  {`head -c 300000 /dev/zero | tr '\0' x >&2; exit 4`, "exit status 4"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Spawn: 1, Binary: program(t, test.script), Logger: slog.New(slog.DiscardHandler)}
			if _, err := spawn(t.Context(), &o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v lacks %q", err, test.want)
			}
		})
	}
}

// One that ends while it is measured makes the figures worthless.
func TestCoordinatorEndsLater(t *testing.T) {
	s := &spawned{}
	o := Options{Logger: slog.New(slog.DiscardHandler)}
	if err := s.run(exec.Command(program(t, "read line; exit 5")), &o); err != nil {
		t.Fatal(err)
	}
	<-s.children[0].done
	if err := s.fault(); err == nil || !strings.Contains(err.Error(), "exit status 5") {
		t.Error(err)
	}
	s.close()
	s.close()
}

// Who is stopped while coordinators start ends these.
func TestStoppedWhileSpawning(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	o := Options{Spawn: 2, Binary: program(t, "exec sleep 60"), Logger: slog.New(slog.DiscardHandler)}
	if _, err := spawn(ctx, &o); err == nil || !strings.Contains(err.Error(), "does not become ready") {
		t.Error(err)
	}
	if len(o.Coordinators) != 1 || len(o.Ops) != 1 || o.Secret == "" {
		t.Errorf("%+v", o)
	}
}

func TestReady(t *testing.T) {
	if ready(t.Context(), "127.0.0.1:1") || ready(t.Context(), "a b") {
		t.Error("nobody is ready")
	}
}
