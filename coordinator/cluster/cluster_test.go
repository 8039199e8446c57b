package cluster_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConnectReaches(t *testing.T) {
	c := clustertest.Connect(t)
	got, err := clustertest.Clientset(c).CoreV1().Namespaces().Get(context.Background(), c.Namespace, metav1.GetOptions{})
	if err != nil || got.Name != c.Namespace {
		t.Fatalf("namespace %v, %v", got, err)
	}
}

func TestConnectSaysWhatIsMissing(t *testing.T) {
	if _, err := cluster.Connect(cluster.Config{}); !errors.Is(err, cluster.ErrNoCluster) {
		t.Errorf("outside a pod, without a file: %v", err)
	}
	file := filepath.Join(t.TempDir(), "config")
	if _, err := cluster.Connect(cluster.Config{Kubeconfig: file}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Connect(cluster.Config{Kubeconfig: file}); err == nil || !strings.Contains(err.Error(), "kubeconfig") {
		t.Errorf("with a broken file: %v", err)
	}
}

func TestConnectTakesTheNamespaceOfTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	text := `{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: u}],
contexts: [{name: c, context: {cluster: c, user: u, namespace: arcade}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(cluster.Config{Kubeconfig: file})
	if err != nil || c.Namespace != "arcade" || c.Identity == "" {
		t.Fatalf("%+v, %v", c, err)
	}
	c, err = cluster.Connect(cluster.Config{Kubeconfig: file, Namespace: "other", Identity: "me"})
	if err != nil || c.Namespace != "other" || c.Identity != "me" {
		t.Fatalf("%+v, %v", c, err)
	}
}

// certified is an API server that takes whoever has a certificate, and a kubeconfig
// of it that names files.
func certified(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"kind": "Node", "apiVersion": "v1", "metadata": {"name": "`+r.TLS.PeerCertificates[0].Subject.Organization[0]+`"}}`)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	pair := server.TLS.Certificates[0] // serves the client as well
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"config": fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q, certificate-authority: crt}}],
users: [{name: u, user: {client-certificate: crt, client-key: key}}], contexts: [{name: c, context: {cluster: c, user: u}}]}`, server.URL),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config")
}

// A certificate in files is shown to the server, and nothing is left that would
// follow them.
func TestConnectWithCertificateFiles(t *testing.T) {
	file := certified(t)
	before := goleak.IgnoreCurrent()
	c, err := cluster.Connect(cluster.Config{Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	if node, err := c.API.Nodes().Get(soon(t), "n", metav1.GetOptions{}); err != nil || node.Name != "Acme Co" {
		t.Errorf("the server knows us as %q, %v", node.Name, err)
	}
	if c.REST.CAFile == "" || c.REST.CertFile != "" || c.REST.KeyFile != "" {
		t.Errorf("files %+v", c.REST.TLSClientConfig)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*conn).serve")) // the server's own
	if err := c.Close(); err != nil {                                                // and until here it is held: the garbage collector ends such goroutines as well
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(file), "key")); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Connect(cluster.Config{Kubeconfig: file}); !errors.Is(err, os.ErrNotExist) && (err == nil || !strings.Contains(err.Error(), "key")) {
		t.Errorf("without the key: %v", err)
	}
}

// A token in a file is read again as it changes.
func TestConnectFollowsATokenFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("token", "one")
	write("config", `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
users: [{name: u, user: {tokenFile: token}}], contexts: [{name: c, context: {cluster: c, user: u}}]}`)
	c, err := cluster.Connect(cluster.Config{Kubeconfig: filepath.Join(dir, "config")})
	if err != nil || c.REST.BearerTokenFile != filepath.Join(dir, "token") {
		t.Errorf("%+v, %v", c, err)
	}
}
