//go:build cgo

package libretro_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/libretro"
	"github.com/cloudretro/cloudretro/worker/libretro/libretrotest"
)

// scenario is a game that ends its process.
type scenario struct {
	Core, Game string
	Buttons    uint16 // held from frame 3 on
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		buttons    uint16
		say        string
		code       int
	}{
		{"crash", "crash_at=5", 0, "SIGSEGV", 2},
		{"exit", "exit_at=5", 0, "", 3},
		{"abort", "abort_at=5", 0, "SIGABRT", 2},
		{"crash by input", "input_faults=1", libretro.ButtonSelect | libretro.ButtonL2, "SIGSEGV", 2},
		{"exit by input", "input_faults=1", libretro.ButtonSelect | libretro.ButtonL3, "", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			marker := filepath.Join(t.TempDir(), "marker")
			s := scenario{
				Core: libretrotest.BuildTestCore(t), Buttons: tt.buttons,
				Game: libretrotest.WriteGame(t, tt.line, "crash_once="+marker),
			}
			out, err := child(t, "TestFaultChild", s)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tt.code || !strings.Contains(out, tt.say) || strings.Contains(out, "survived") {
				t.Errorf("%v, want exit code %d and %q:\n%s", err, tt.code, tt.say, out)
			}
			// Once is enough: with the marker the same game plays on.
			if out, err := child(t, "TestFaultChild", s); err != nil || !strings.Contains(out, "survived 10 frames") {
				t.Errorf("second time: %v\n%s", err, out)
			}
		})
	}
}

func TestHang(t *testing.T) {
	for name, s := range map[string]scenario{
		"at":       {Game: "hang_at=5"},
		"by input": {Game: "input_faults=1", Buttons: libretro.ButtonSelect | libretro.ButtonR2},
	} {
		t.Run(name, func(t *testing.T) {
			marker := filepath.Join(t.TempDir(), "marker")
			s.Core, s.Game = libretrotest.BuildTestCore(t), libretrotest.WriteGame(t, s.Game, "crash_once="+marker)
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			ctx, kill := context.WithTimeout(t.Context(), 2*time.Minute)
			defer kill()
			var out strings.Builder
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFaultChild$", "-test.v")
			cmd.Env, cmd.Stdout, cmd.WaitDelay = childEnviron(text), &out, time.Second
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for { // the core makes the marker right before it hangs
				if _, err := os.Stat(marker); err == nil {
					break
				}
				select {
				case <-ctx.Done():
					t.Fatal("the core did not hang in time")
				case <-time.After(2 * time.Millisecond):
				}
			}
			kill()
			if err := cmd.Wait(); err == nil || strings.Contains(out.String(), "survived") {
				t.Errorf("it ended by itself: %v\n%s", err, out.String())
			}
		})
	}
}

func TestFaultChild(t *testing.T) {
	var s scenario
	inChild(t, &s)
	core, err := libretro.Open(s.Core, libretro.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer core.Close()
	if err := core.Load(libretro.Game{Path: s.Game}); err != nil {
		t.Fatal(err)
	}
	run(t, core, 2)
	core.SetPad(0, s.Buttons, [4]int16{})
	run(t, core, 8)
	t.Log("survived 10 frames")
}
