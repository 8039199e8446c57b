package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/turn"
)

func TestParseCheck(t *testing.T) {
	a, err := parse(strings.Fields("--config a.yaml check turn --url turn:x --secret s --worker 1.2.3.4:5 --json --set a=b --timeout 2s --bitrate 100000"))
	if err != nil {
		t.Fatal(err)
	}
	c := a.check
	if a.command != "check" || len(a.files) != 1 || len(a.set) != 1 || c.url != "turn:x" || c.secret != "s" ||
		c.worker.String() != "1.2.3.4:5" || !c.json || c.timeout.Seconds() != 2 || c.bitrate != 100000 {
		t.Errorf("parsed %+v", a)
	}
	for args, want := range map[string]string{
		"check":                                    "what to check",
		"check worker":                             "after",
		"check turn":                               "--url",
		"check turn --url x y":                     `"y"`,
		"--url x":                                  "url",
		"config --url x":                           "url",
		"check turn --url x --secret a --user b":   "not both",
		"check turn --url x --ca a --insecure":     "not both",
		"check turn --url x --worker example:1":    "IP:PORT",
		"check turn --url x --bitrate many":        "many",
		"check turn --url turn:x --worker 1.2.3.4": "IP:PORT",
	} {
		if _, err := parse(strings.Fields(args)); exitCode(err) != exitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v (exit code %d), want one that says %q", args, err, exitCode(err), want)
		}
	}
}

// aGate is a gate with the secret of a configuration that says secrets.worker.
func aGate(t *testing.T, secret string) string {
	t.Helper()
	g, err := turn.New(turn.Config{
		Listeners: []turn.Listener{{Protocol: turn.UDP, Address: "127.0.0.1:0"}}, Secrets: []string{secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("gate: %v", err)
		}
	})
	return g.URLs()[0]
}

func runCheck(t *testing.T, environ []string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	p := program{stdout: &out, environ: environ}
	err := p.main(t.Context(), append([]string{"check", "turn"}, args...))
	return out.String(), err
}

func TestCheckTURN(t *testing.T) {
	url := aGate(t, "north north north")
	out, err := runCheck(t, nil, "--url", url, "--secret", "north north north")
	if err != nil || !strings.Contains(out, "✓ allocate") || !strings.Contains(out, "• peer") || !strings.Contains(out, "--worker") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = runCheck(t, []string{"CLOUDRETRO_SECRETS_TURN=[north north north]"}, "--url", url)
	if err != nil || !strings.Contains(out, "✓ allocate") {
		t.Errorf("with the configuration's secret: %v\n%s", err, out)
	}
	out, err = runCheck(t, nil, "--url", url)
	if err != nil || !strings.Contains(out, "• allocate") {
		t.Errorf("without a secret: %v\n%s", err, out)
	}
	out, err = runCheck(t, nil, "--url", url, "--secret", "south")
	if exitCode(err) != exitFailed || !strings.Contains(out, "✗ allocate") || !strings.Contains(out, "→ ") {
		t.Errorf("with another secret: %v\n%s", err, out)
	}
}

func TestCheckTURNAsJSON(t *testing.T) {
	out, err := runCheck(t, nil, "--url", aGate(t, "north north north"), "--secret", "south", "--json")
	var report struct {
		Well bool
		Legs []struct {
			Leg, State, Cause, Remedy string
			Code                      int
		}
	}
	if broken := json.Unmarshal([]byte(out), &report); broken != nil || exitCode(err) != exitFailed || report.Well || len(report.Legs) != 3 {
		t.Fatalf("%v, %v\n%s", err, broken, out)
	}
	if last := report.Legs[2]; last.Leg != "allocate" || last.State != "failed" || last.Code != 401 || last.Cause == "" || last.Remedy == "" {
		t.Errorf("last leg %+v", last)
	}
}

func TestCheckTURNRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--url", "http://x"},
		{"--url", "turn:x", "--duration", "2h"},
		{"--url", "turns:x", "--ca", empty},
		{"--url", "turns:x", "--ca", empty + ".not"},
	} {
		if out, err := runCheck(t, nil, args...); exitCode(err) != exitUsage {
			t.Errorf("%v: %v (exit code %d)\n%s", args, err, exitCode(err), out)
		}
	}
}
