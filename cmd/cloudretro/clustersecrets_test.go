package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

func TestNeededSecrets(t *testing.T) {
	const worker, turn, session = cluster.SecretWorker, cluster.SecretTURN, cluster.SecretSession
	set, token := "=0123456789abcdef0", "kubernetes.token.file=/token"
	for _, tt := range []struct {
		name  string
		roles roles
		set   []string
		want  []string
	}{
		{"all in one", everyRole(), nil, []string{worker, turn, session}},
		{"all in one with the workers' token", everyRole(), []string{token}, []string{worker, turn, session}},
		{"coordinator", roles{coordinator: true}, []string{token}, []string{worker, turn, session}},
		{"coordinator, one is set", roles{coordinator: true}, []string{"secrets.turn" + set}, []string{worker, session}},
		{"coordinator, all are set", roles{coordinator: true}, []string{"secrets.worker" + set, "secrets.turn" + set, "secrets.session" + set}, nil},
		{"turn", roles{turn: true}, []string{token}, []string{turn}},
		{"turn, set", roles{turn: true}, []string{"secrets.turn" + set}, nil},
		{"worker with a token", roles{worker: true}, []string{token}, nil},
		{"worker without", roles{worker: true}, nil, []string{worker}},
		{"worker without, set", roles{worker: true}, []string{"secrets.worker" + set}, nil},
		{"worker and turn", roles{worker: true, turn: true}, []string{token}, []string{turn}},
	} {
		if got := needed(defaults(t, tt.set...), tt.roles); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestSecretsOfTheCluster: a coordinator makes them, a gate gets its own, a worker
// with a token none; what is configured wins.
func TestSecretsOfTheCluster(t *testing.T) {
	kube := clustertest.Connect(t)
	get := func(r roles, set ...string) (worker, turn, session string) {
		t.Helper()
		cfg, err := withSecrets(t.Context(), defaults(t, append(set, "ops.address=127.0.0.1:0")...), r, kube)
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Secrets.Worker, strings.Join(cfg.Secrets.Turn, " "), cfg.Secrets.Session
	}
	w, u, s := get(roles{coordinator: true})
	if len(w) != 64 || len(u) != 64 || len(s) != 64 || w == u || u == s {
		t.Fatalf("coordinator has %q, %q, %q", w, u, s)
	}
	if w2, u2, s2 := get(roles{coordinator: true}); w2 != w || u2 != u || s2 != s {
		t.Error("the second coordinator has others")
	}
	if w2, u2, s2 := get(roles{turn: true}); w2 != "" || u2 != u || s2 != "" {
		t.Errorf("gate has %q, %q, %q", w2, u2, s2)
	}
	if w2, u2, s2 := get(roles{worker: true}, "kubernetes.token.file=/token"); w2+u2+s2 != "" {
		t.Errorf("worker has %q, %q, %q", w2, u2, s2)
	}
	own := strings.Repeat("x", 20)
	if w2, u2, s2 := get(everyRole(), "secrets.turn="+own); w2 != w || u2 != own || s2 != s {
		t.Errorf("all in one has %q, %q, %q", w2, u2, s2)
	}
	if w2, _, _ := get(everyRole(), "kubernetes.secrets=false"); w2 == w || len(w2) != 64 {
		t.Errorf("without kubernetes.secrets: %q", w2)
	}
}

// TestStartWaits for a cluster: it says so by its log and at the operators' door,
// and ends without an error when it is told to.
func TestStartWaits(t *testing.T) {
	c, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := c.Addr().String()
	c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- program{stdout: io.Discard, stderr: io.Discard}.play(ctx,
			defaults(t, "kubernetes.enabled=true", "kubernetes.kubeconfig="+nowhere(t), "ops.address="+address), roles{coordinator: true})
	}()
	status := func(path string) int {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			return 0
		}
		response.Body.Close()
		return response.StatusCode
	}
	eventually(t, "the operators' door", func() bool { return status("/livez") == http.StatusOK })
	if got := status("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("play = %v", err)
	}
}

// TestRotationReachesRoles: a line that is put before the old one in the Secret
// is what is minted with, unless secrets.turn is configured.
func TestRotationReachesRoles(t *testing.T) {
	kube := clustertest.Connect(t)
	h := &house{roles: roles{turn: true}, log: slog.New(slog.DiscardHandler), cluster: kube, cfg: defaults(t)}
	h.set, h.loaded = h.cfg, h.cfg
	var err error
	if h.cfg, err = withSecrets(t.Context(), defaults(t, "ops.address="), h.roles, kubeWithTURN(t, kube)); err != nil {
		t.Fatal(err)
	}
	old, fresh := h.cfg.Secrets.Turn[0], strings.Repeat("n", 20)
	taken := make(chan []string, 4)
	h.reloads = append(h.reloads, takeTURN(taken))
	h.addRotation()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.parts[0].run(ctx) }()
	s, err := clustertest.Clientset(kube).CoreV1().Secrets(kube.Namespace).Get(ctx, cluster.SecretTURN, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Data[cluster.SecretKey] = []byte(fresh + "\n" + old + "\n")
	if _, err := clustertest.Clientset(kube).CoreV1().Secrets(kube.Namespace).Update(ctx, s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-taken:
		if !slices.Equal(got, []string{fresh, old}) {
			t.Errorf("taken %q", got)
		}
	case <-time.After(time.Minute):
		t.Error("nothing is taken")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.rotation.Lock()
	defer h.rotation.Unlock()
	if got := h.withOwnSecrets(h.loaded).Secrets.Turn; !slices.Equal(got, []string{fresh, old}) {
		t.Errorf("after the configuration was read again %q", got)
	}
}

// takeTURN is what a role does with a configuration.
func takeTURN(taken chan<- []string) func(config.Config) error {
	return func(next config.Config) error {
		taken <- next.Secrets.Turn
		return nil
	}
}

// kubeWithTURN is kube when a coordinator has been there.
func kubeWithTURN(t *testing.T, kube *cluster.Cluster) *cluster.Cluster {
	t.Helper()
	if _, err := kube.Secret(t.Context(), cluster.SecretTURN, true); err != nil {
		t.Fatal(err)
	}
	return kube
}

// nowhere is a kubeconfig whose API server is not there.
func nowhere(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
contexts: [{name: c, context: {cluster: c, namespace: arcade}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Rotated secrets that a role refuses are not in force, and do not keep the
// configuration from being read again.
func TestRotationRefused(t *testing.T) {
	old, fresh := []string{strings.Repeat("o", 20)}, []string{strings.Repeat("n", 20)}
	h := &house{log: slog.New(slog.DiscardHandler), level: &slog.LevelVar{}}
	h.cfg.Secrets.Turn, h.rotation.turn = old, old
	h.reloads = append(h.reloads, func(next config.Config) error {
		if !slices.Equal(next.Secrets.Turn, old) {
			return errors.New("not with me")
		}
		return nil
	})
	h.rotate(fresh)
	if got := h.current().Secrets.Turn; !slices.Equal(got, old) {
		t.Errorf("in force %q", got)
	}
	next := config.Config{}
	next.Worker.Rooms.Max = 8
	h.adopt(func() (config.Config, error) { return next, nil })
	if got := h.current(); got.Worker.Rooms.Max != 8 || !slices.Equal(got.Secrets.Turn, old) {
		t.Errorf("in force %+v, %q", got.Worker.Rooms, got.Secrets.Turn)
	}
}
