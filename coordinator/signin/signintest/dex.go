// Package signintest runs a real provider of OpenID Connect for tests: Dex,
// whose module stands beside ours so that nothing of it gets into the product.
package signintest

import (
	"bufio"
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What there is to sign in with at Dex.
const (
	ClientID     = "cloudretro"
	ClientSecret = "a secret of the client"
	Player       = "player@example.org"
	Admin        = "admin@example.org"
	Password     = "a password of the users" // of both
	Group        = "authors"                 // of who signs in by a click
)

// StartDex builds and runs Dex until the test ends and answers its issuer. Browsers are
// sent back to the redirect URLs only.
func StartDex(t testing.TB, redirects ...string) string {
	t.Helper()
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	folder := filepath.Join(strings.TrimSpace(string(module)), "coordinator", "signin", "testdata", "dex")
	binary := filepath.Join(t.TempDir(), "dex")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", folder, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build Dex: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "-redirect", strings.Join(redirects, ","))
	var log bytes.Buffer
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe() // it ends with this
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start Dex: %v", err)
	}
	line, readErr := bufio.NewReader(stdout).ReadString('\n')
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("Dex ended: %v\n%s", err, log.String())
		}
	})
	issuer, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("Dex says %q: %v", line, readErr)
	}
	return issuer
}
