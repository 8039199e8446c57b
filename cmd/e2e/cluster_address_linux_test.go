package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// pageAtNodePort is for overlays whose page waits for a load balancer.
const pageAtNodePort = `patches:
- target: {kind: Service, name: coordinator}
  patch: |
    - {op: replace, path: /spec/type, value: NodePort}
    - {op: replace, path: /spec/externalTrafficPolicy, value: Cluster}
`

// cloudAddress is what the fake cloud gives (RFC 5737 TEST-NET-3).
const cloudAddress = "203.0.113.77"

// greeting is what a new page is told first.
func greeting(t *testing.T, url string) signal.Hello {
	t.Helper()
	ws := knock(t, &Member{URL: url}, "/ws", nil)
	defer func() { _ = ws.Close() }()
	e, err := ws.hears(signal.TypeHello)
	if err != nil {
		t.Fatal(err)
	}
	h, err := signal.Read[signal.Hello](e)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// gates are the hosts of the TURN URLs that a new page is told.
func gates(t *testing.T, url string) []string {
	t.Helper()
	var hosts []string
	for _, s := range greeting(t, url).ICEServers {
		for _, u := range s.URLs {
			if rest, ok := strings.CutPrefix(u, "turn:"); ok {
				rest, _, _ = strings.Cut(rest, "?")
				hosts = append(hosts, rest)
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// setStatus writes what a cloud would.
func (i *installation) setStatus(t *testing.T, service, ingress string) time.Time {
	t.Helper()
	patch := fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[%s]}}}`, ingress)
	_, err := clustertest.Clientset(i.Cluster).CoreV1().Services(i.Namespace).Patch(t.Context(), service, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// TestClusterLoadBalancer is a cloud that gives the gates an address, and
// others later: new pages are told at once.
func TestClusterLoadBalancer(t *testing.T) {
	i := prepare(t, "", pageAtNodePort)
	b := outside(t, append(slices.Clone(i.nodes), netip.MustParseAddr(cloudAddress))...)
	i.apply(t)
	url := i.url(t)
	i.rolledOut(t, coldStart)
	t.Logf("before there is an address pages are told of %v", gates(t, url))
	answered(t, i.gate(t))
	early := i.play(t, b, url+"/play/test-card") // where no cloud is, a stranger plays all the same
	plays(t, early)
	early.Close()
	for _, tc := range []struct{ ingress, want string }{
		{`{"hostname":"turn.example.org"}`, "turn.example.org:3478"},
		{`{"ip":"192.0.2.10"}`, "192.0.2.10:3478"},
		{`{"ip":"` + cloudAddress + `"}`, cloudAddress + ":3478"},
	} {
		begin := i.setStatus(t, "turn", tc.ingress)
		// Each greeting may come from another coordinator; so several in a row.
		within(t, 5*time.Second, "pages are told of "+tc.want, func(context.Context) error {
			for range 8 {
				if told := gates(t, url); !slices.Equal(told, []string{tc.want}) {
					return fmt.Errorf("pages are told of %v", told)
				}
			}
			return nil
		})
		t.Logf("all coordinators tell of %s %d ms after the Service's status", tc.want, time.Since(begin).Milliseconds())
	}
	// Nodes take packets for the address in the status, so a route to one of them
	// is all that the rest of a cloud would do.
	route := []string{"route", "add", cloudAddress, "via", i.nodes[0].String()}
	if out, err := exec.Command("ip", route...).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: playing through the address: no route through a node: %v: %s", err, out)
	}
	t.Cleanup(func() { sh(t, "ip route del "+cloudAddress) })
	answered(t, netip.MustParseAddrPort(cloudAddress+":3478"))
	p := i.play(t, b, url+"/play/test-card")
	got := eval[pair](t, p, "probe.pair()")
	t.Logf("the pair is %+v", got)
	if got.Local != "relay" || !strings.Contains(got.URL, cloudAddress) {
		t.Errorf("the pair is %+v, want a relay at %s", got, cloudAddress)
	}
	plays(t, p)
}

// workersOf is how many workers the coordinators of a page know.
func workersOf(url string) (int, error) {
	h, err := API[struct{ Workers int }](&Member{URL: url}, "/health")
	return h.Workers, err
}

// TestClusterTwoInstallations has two of them in one cluster: neither takes the
// other's workers, tokens or credentials.
func TestClusterTwoInstallations(t *testing.T) {
	one, two := install(t, "node-port", ""), install(t, "node-port", "")
	urls := []string{one.url(t), two.url(t)}
	one.rolledOut(t, coldStart)
	two.rolledOut(t, coldStart)
	one.scale(t, "worker", 1)
	for n, want := range []int{1, 2} {
		within(t, time.Minute, fmt.Sprintf("%d workers at %s", want, urls[n]), func(context.Context) error {
			for range 8 { // of whichever coordinator
				if got, err := workersOf(urls[n]); err != nil || got != want {
					return errors.Join(err, fmt.Errorf("%d workers", got))
				}
			}
			return nil
		})
	}
	t.Run("token of a worker", func(t *testing.T) {
		for _, from := range []*installation{one, two} {
			token := from.workerToken(t)
			for n, to := range []*installation{one, two} {
				if let := letIn(t, urls[n], token); let != (from == to) {
					t.Errorf("the token of a worker of %s is taken at %s: %v", from.Namespace, to.Namespace, let)
				}
			}
		}
	})
	t.Run("credential for the gate", func(t *testing.T) {
		for _, from := range urls {
			for n, to := range []*installation{one, two} {
				r := allocate(t, to.gate(t), greeting(t, from).ICEServers[0])
				if want := map[bool]int{true: 0, false: 401}[from == urls[n]]; r.refused != want {
					t.Errorf("a credential of %s at the gate of %s: code %d, want %d", from, to.Namespace, r.refused, want)
				}
			}
		}
	})
}
