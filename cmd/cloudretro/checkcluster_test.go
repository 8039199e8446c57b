package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/config"
)

func TestParseCheckKubernetes(t *testing.T) {
	a, err := parse(strings.Fields("--config a.yaml check kubernetes --kubeconfig k --namespace n --json"))
	if err != nil || a.command != "check" || a.cluster != (clusterArguments{true, "k", "n", true}) || len(a.files) != 1 {
		t.Errorf("parsed %+v, %v", a, err)
	}
	for args, want := range map[string]string{
		"check":                             "check kubernetes",
		"check kubernetes --url turn:x":     "url",
		"check turn --namespace n":          "namespace",
		"check kubernetes worker":           "worker",
		"check --namespace n kubernetes":    "namespace",
		"check kubernetes --kubeconfig":     "kubeconfig",
		"check kubernetes --role conductor": "no such role",
	} {
		if _, err := parse(strings.Fields(args)); exitCode(err) != exitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v (exit code %d), want one that says %q", args, err, exitCode(err), want)
		}
	}
}

func TestKubeconfig(t *testing.T) {
	home := t.TempDir()
	usual := filepath.Join(home, ".kube", "config")
	withHome, without := []string{"HOME=" + home}, []string{"HOME=" + t.TempDir()}
	if err := os.MkdirAll(filepath.Dir(usual), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(usual, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		flag    string
		cfg     string
		environ []string
		want    string
	}{
		{"flag", "flag", "cfg", append(withHome, "KUBECONFIG=env"), "flag"},
		{"configuration", "", "cfg", append(withHome, "KUBECONFIG=env"), "cfg"},
		{"environment", "", "", append(withHome, "KUBECONFIG=env"), "env"},
		{"first of several", "", "", []string{"KUBECONFIG=" + string(filepath.ListSeparator) + "one" + string(filepath.ListSeparator) + "two"}, "one"},
		{"the usual one", "", "", withHome, usual},
		{"a pod", "", "", without, ""},
		{"nothing at all", "", "", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cfg config.Config
			cfg.Kubernetes.Kubeconfig = tt.cfg
			if got := kubeconfig(clusterArguments{kubeconfig: tt.flag}, cfg, tt.environ); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseClusterConfig(t *testing.T) {
	got, err := parseClusterConfig([]byte("kubernetes: {scaler: {freeSeats: 3, deployment: w}, gateway: {enabled: true}, token: {audience: a}}"))
	if err != nil || got.FreeSeats != 3 || got.Workers != "w" || !got.Gateway || got.Audience != "a" || got.CoordinatorService != "coordinator" || !got.Secrets {
		t.Errorf("%+v, %v", got, err)
	}
	for peers, want := range map[string]bool{`[]`: false, `[10.0.0.0/8]`: true, `["10.96.0.10:53", 10.96.0.11/32]`: false, `[10.96.0.10, "[2001:db8::]/32:53"]`: true} {
		if got, err := parseClusterConfig([]byte("turn: {peers: " + peers + "}")); err != nil || got.Prefixes != want {
			t.Errorf("turn.peers %s: prefixes %v, %v", peers, got.Prefixes, err)
		}
	}
	_, err = parseClusterConfig([]byte("kubernetes: {scalar: 1}"))
	if err == nil || !strings.Contains(err.Error(), "kubernetes.scalar") || strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("with an unknown key: %v", err)
	}
}

// checkKubernetes runs the command against what answers at url.
func checkKubernetes(t *testing.T, url string, args ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: "` + url + `"}}],
users: [{name: u}], contexts: [{name: c, context: {cluster: c, user: u, namespace: arcade}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := program{stdout: &out, environ: []string{"KUBECONFIG=" + file}}
	err := p.main(t.Context(), append([]string{"check", "kubernetes"}, args...))
	return out.String(), err
}

// anAPI is an API server that says its version and knows nothing else.
func anAPI(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/version" {
			_, _ = w.Write([]byte(`{"gitVersion": "v1.99.0"}`))
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestCheckKubernetes(t *testing.T) {
	out, err := checkKubernetes(t, anAPI(t))
	if exitCode(err) != exitFailed || !strings.Contains(out, "✓ api server   Kubernetes v1.99.0") || !strings.Contains(out, "✗ namespace    there is no namespace arcade") ||
		!strings.Contains(out, "→ ") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = checkKubernetes(t, anAPI(t), "--json", "--namespace", "other")
	var report struct {
		Namespace string
		Well      bool
		Findings  []struct{ Check, State, Found, Cause, Remedy string }
	}
	if broken := json.Unmarshal([]byte(out), &report); broken != nil || exitCode(err) != exitFailed || report.Well || report.Namespace != "other" || len(report.Findings) != 2 {
		t.Fatalf("%v, %v\n%s", err, broken, out)
	}
	if last := report.Findings[1]; last.Check != "namespace" || last.State != "failed" || last.Cause == "" || last.Remedy == "" {
		t.Errorf("last finding %+v", last)
	}
}

func TestCheckKubernetesWithoutACluster(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	out, err := checkKubernetes(t, closed.URL)
	if exitCode(err) != exitFailed || strings.Count(out, "✗") != 1 || !strings.Contains(out, "api server") {
		t.Errorf("%v\n%s", err, out)
	}
	for want, args := range map[string][]string{
		"which cluster?": {"check", "kubernetes"}, "--kubeconfig": {"check", "kubernetes", "--kubeconfig", filepath.Join(t.TempDir(), "not")},
	} {
		err := program{stdout: &bytes.Buffer{}}.main(t.Context(), args)
		if exitCode(err) != exitFailed || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want one that says %q", args, err, want)
		}
	}
}
