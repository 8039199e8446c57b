package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// ownClass lets the overlay gateway stand beside others in one cluster: class,
// roles, bindings and controller have names of their own. Node ports are its addresses.
const ownClass = `patches:
- target: {kind: GatewayClass, name: cloudretro}
  options: {allowNameChange: true}
  patch: |
    - {op: replace, path: /metadata/name, value: "@class@"}
    - {op: replace, path: /spec/controllerName, value: cloudretro.dev/@class@}
- target: {kind: "ClusterRole|ClusterRoleBinding", name: cloudretro-gateway}
  options: {allowNameChange: true}
  patch: |
    - {op: replace, path: /metadata/name, value: "@class@"}
- target: {kind: "ClusterRole|ClusterRoleBinding", name: cloudretro-gateway-secrets}
  options: {allowNameChange: true}
  patch: |
    - {op: replace, path: /metadata/name, value: "@class@-secrets"}
- target: {kind: Gateway, name: turn}
  patch: |
    - {op: add, path: /metadata/annotations, value: {cloudretro.dev/service-type: NodePort}}
    - {op: replace, path: /spec/gatewayClassName, value: "@class@"}
- target: {kind: Service, name: coordinator}
  patch: |
    - {op: replace, path: /spec/type, value: NodePort}
    - {op: replace, path: /spec/externalTrafficPolicy, value: Cluster}
- target: {kind: Deployment, name: coordinator}
  patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: coordinator}
    spec: {template: {spec: {containers: [{name: coordinator, env: [{name: CLOUDRETRO_KUBERNETES_TURNSERVICE, value: turn-@class@}]}]}}}
- target: {kind: Deployment, name: turn}
  patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: turn}
    spec: {template: {spec: {containers: [{name: turn, env: [{name: CLOUDRETRO_KUBERNETES_GATEWAY_CONTROLLERNAME, value: cloudretro.dev/@class@}]}]}}}
`

// TestClusterGateway plays through a Gateway, whose listeners come and go.
func TestClusterGateway(t *testing.T) {
	i := prepare(t, "gateway", "")
	class := i.Namespace
	i.change(t, strings.ReplaceAll(ownClass, "@class@", class))
	b := outside(t, i.nodes...)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		all := []string{"delete", "--ignore-not-found", "gatewayclass/" + class}
		for _, name := range []string{class, class + "-secrets"} {
			all = append(all, "clusterrolebinding/"+name, "clusterrole/"+name)
		}
		// A class that a Gateway uses stays for as long.
		for _, args := range [][]string{{"-n", i.Namespace, "delete", "--ignore-not-found", "gateway/turn"}, all} {
			if out, err := kubectlCommand(ctx, args...).CombinedOutput(); err != nil {
				t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	})
	i.apply(t)
	i.conditions(t, "gateway/turn", "Accepted", "Programmed")
	i.route(t, "Accepted", "ResolvedRefs")
	url := i.url(t)
	i.rolledOut(t, coldStart)
	answered(t, i.nodeAt(i.nodePort(t, "turn-"+class, "turn-udp")))
	p := i.play(t, b, url+"/play/test-card")
	got := eval[pair](t, p, "probe.pair()")
	t.Logf("the pair is %+v", got)
	if port := fmt.Sprintf(":%d", i.nodePort(t, "turn-"+class, "turn-udp")); got.Local != "relay" || !strings.Contains(got.URL, port) {
		t.Errorf("the pair is %+v, want a relay at port %s", got, port)
	}
	plays(t, p)
	since := eval[float64](t, p, "performance.now()")

	const added = `{"name":"more","protocol":"UDP","port":3479}`
	i.listeners(t, `[{"op":"add","path":"/spec/listeners/-","value":`+added+`}]`)
	i.listenerProgrammed(t, "more")
	more := i.nodePort(t, "turn-"+class, "more")
	r := allocate(t, i.nodeAt(more), greeting(t, url).ICEServers[0])
	if r.refused != 0 {
		t.Errorf("the listener that was added refuses: %d", r.refused)
	}
	plays(t, p)
	i.listeners(t, `[{"op":"remove","path":"/spec/listeners/2"}]`)
	within(t, 30*time.Second, "the end of the listener's port", func(context.Context) error {
		if text := kubectl(t, "-n", i.Namespace, "get", "service", "turn-"+class, "-o", "jsonpath={.spec.ports[*].name}"); strings.Contains(text, "more") {
			return fmt.Errorf("the Service has ports %s", text)
		}
		return nil
	})
	plays(t, p)
	notDisturbed(t, p, since)
}

// listeners patches those of the Gateway.
func (i *installation) listeners(t *testing.T, patch string) {
	t.Helper()
	kubectl(t, "-n", i.Namespace, "patch", "gateway", "turn", "--type=json", "-p", patch)
}

// conditions waits until an object has conditions that are true.
func (i *installation) conditions(t *testing.T, object string, names ...string) {
	t.Helper()
	for _, name := range names {
		kubectl(t, "-n", i.Namespace, "wait", "--for=condition="+name, object, "--timeout=90s")
	}
}

// route waits until the route of the workers has conditions at its parent.
func (i *installation) route(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		path := fmt.Sprintf(`--for=jsonpath={.status.parents[0].conditions[?(@.type=="%s")].status}=True`, name)
		kubectl(t, "-n", i.Namespace, "wait", path, "udproutes.gateway.networking.k8s.io/worker", "--timeout=90s")
	}
}

func (i *installation) listenerProgrammed(t *testing.T, name string) {
	t.Helper()
	path := fmt.Sprintf(`--for=jsonpath={.status.listeners[?(@.name=="%s")].conditions[?(@.type=="Programmed")].status}=True`, name)
	kubectl(t, "-n", i.Namespace, "wait", path, "gateway/turn", "--timeout=30s")
}
