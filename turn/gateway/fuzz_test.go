package gateway

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// everything is manifests of all kinds that work together.
var everything = sync.OnceValue(func() (objects []any) {
	routed := routeOf(ofUpstream, toGateway, toService+", {name: games, namespace: other, port: 8443}")
	all := strings.Join([]string{
		guide, workers, manyListeners, team, routed, grantOf("gateway.networking.k8s.io", "team", "Service", ""), secretOfWhy + "secret: s}", grantOfWhy, configOf("authRef: {name: login, namespace: why}"),
		gatewayOf(", annotations: {cloudretro.dev/nodeport: '{}', cloudretro.dev/service-type: NodePort, example.com/a: b}",
			"  addresses: [{value: 203.0.113.7}]\n  infrastructure: {labels: {a: b}, annotations: {c/d: e}}",
			fromTeam+"\n    - {name: t, port: 5349, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: tls, namespace: certs}]}}"),
		routeOf(ofOurs, toGateway, "{name: games, port: 1, endPort: 9}, {name: ranged, kind: StaticService, group: cloudretro.dev}"), grantOfCertificates,
		"apiVersion: v1\nkind: Service\nmetadata: {name: g-cloudretro, namespace: infra, labels: {app.kubernetes.io/managed-by: cloudretro, gateway.networking.k8s.io/gateway-name: g}, annotations: {cloudretro.dev/controller: cloudretro.dev/turn}}\n" +
			"spec: {type: NodePort, ports: [{name: l, port: 3478, targetPort: 20003, protocol: UDP}]}\nstatus: {loadBalancer: {ingress: [{ip: 203.0.113.7}]}}",
	}, "\n---\n")
	for doc := range strings.SplitSeq(all, "\n---\n") {
		var object map[string]any
		if err := yaml.UnmarshalStrict([]byte(doc), &object); err != nil {
			panic(err)
		}
		objects = append(objects, object)
	}
	return objects
})

// change is one thing that is made wrong in manifests.
type change struct {
	where  uint16 // which value, of all
	what   uint8  // what becomes of it
	text   string
	number int64
}

// apply makes one value of an object another. left counts values down.
func (c change) apply(value any, left *int) any {
	if *left == 0 {
		*left--
		return []any{c.text, c.number, nil, map[string]any{c.text: c.text}, []any{c.text, c.number}, []any{}, map[string]any{}, true}[c.what%8]
	}
	*left--
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			v[key] = c.apply(v[key], left)
		}
	case []any:
		for i := range v {
			v[i] = c.apply(v[i], left)
		}
	}
	return value
}

// snapshotWith is everything with changes; what the API server would not have
// stored is left out.
func snapshotWith(changes ...change) Resources {
	r := Resources{Unserved: map[string]string{"infra/g/l": "why"}, NodeAddresses: []string{changes[0].text, "198.51.100.1"}, Bundles: map[string]string{"a": changes[0].text}}
	left := make([]int, len(changes))
	for i, c := range changes {
		left[i] = int(c.where) % 1200
	}
	for _, object := range everything() {
		object = runtime.DeepCopyJSONValue(object)
		for i, c := range changes {
			object = c.apply(object, &left[i])
		}
		if object, ok := object.(map[string]any); ok {
			_ = r.put(&unstructured.Unstructured{Object: object})
		}
	}
	return r
}

// translateTwice checks an outcome and what comes when it has been written.
func translateTwice(t *testing.T, r Resources) {
	t.Helper()
	for range 2 {
		out := Translate(r, settings())
		if again := Translate(r, settings()); !reflect.DeepEqual(again, out) {
			t.Fatalf("%+v\nand then\n%+v", out, again)
		}
		checkBounds(t, out)
		play(&r, out, "203.0.113.7")
	}
}

// FuzzTranslate makes two values of many manifests wrong.
func FuzzTranslate(f *testing.F) {
	f.Add(uint16(0), uint16(1), uint8(0), "", int64(0))
	f.Add(uint16(100), uint16(700), uint8(1), "a b", int64(70000))
	f.Add(uint16(300), uint16(800), uint8(0x34), "\xff", int64(-1))
	f.Fuzz(func(t *testing.T, first, second uint16, what uint8, text string, number int64) {
		translateTwice(t, snapshotWith(change{first, what & 7, text, number}, change{second, what >> 4, text, number}))
	})
}

// TestWrongObjects does some of what the fuzzing does, each value in turn.
func TestWrongObjects(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "a b", "infra", "cloudretro", "games", "UDP", "All", "10.0.0.1", "-1", strings.Repeat("x", 300), "\xff"}
	for where := uint16(0); where < 900; where += 5 {
		c := change{where, uint8(random.Uint32()), texts[random.IntN(len(texts))], []int64{0, -1, 80, 20001, 70000, 1 << 40}[random.IntN(6)]}
		other := c
		other.where, other.what = uint16(random.UintN(900)), uint8(random.Uint32())
		translateTwice(t, snapshotWith(c, other))
	}
}

// checkBounds refuses what the API server or the pods would.
func checkBounds(t *testing.T, out Outcome) {
	t.Helper()
	s := settings()
	if len(out.Listeners) > s.Ports {
		t.Fatalf("%d listeners", len(out.Listeners))
	}
	ports := map[uint16]bool{}
	for _, l := range out.Listeners {
		if ports[l.Port] || int(l.Port) < s.FirstPort || int(l.Port) >= s.FirstPort+s.Ports || len(l.Endpoints) > MaxEndpoints || len(l.Peers) > MaxPeers ||
			len(l.Secrets) == 0 == (len(l.Users) == 0) || len(l.Secrets) > maxCredentials {
			t.Fatalf("%+v", l)
		}
		ports[l.Port] = true
		for _, e := range l.Endpoints {
			if !e.IsValid() || e.Port() == 0 || e.Addr().IsLoopback() || e.Addr().IsLinkLocalUnicast() {
				t.Fatalf("endpoint %v", e)
			}
		}
		for _, p := range l.Peers {
			if !p.Prefix.IsValid() || p.Prefix != p.Prefix.Masked() || p.From > p.To {
				t.Fatalf("peer %v", p)
			}
		}
	}
	for _, service := range out.Services {
		if len(validation.IsDNS1035Label(service.Name)) > 0 || len(service.Spec.Ports) == 0 || len(service.Annotations) > maxAnnotations+1 {
			t.Fatalf("%+v", service)
		}
		for _, p := range service.Spec.Ports {
			if len(validation.IsDNS1123Label(p.Name)) > 0 || p.Port < 1 || p.Port > 65535 {
				t.Fatalf("%+v", p)
			}
		}
	}
	for _, status := range out.Gateways {
		if len(status.Listeners) > maxListeners || len(status.Addresses) > maxAddresses {
			t.Fatalf("%+v", status)
		}
	}
}

func FuzzParsePrefix(f *testing.F) {
	for _, seed := range []string{"192.0.2.0/24", "::/0", "10.0.0.1", "fe80::1%eth0", "::ffff:10.0.0.0/104", "nonsense", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePrefix(s)
		if err == nil && (!p.IsValid() || p.Masked() != p || p.Addr().Is4In6() || p.Addr() == (netip.Addr{})) {
			t.Errorf("%q is %v", s, p)
		}
	})
}

func FuzzPortMap(f *testing.F) {
	for _, seed := range []string{`{"udp": 30478}`, `{"a": -1}`, `[]`, `{`, `{"a": 1e9}`, `null`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ports, why := portMap("nodeport", s)
		for name, port := range ports {
			if why == "" && (port < 1 || port > 65535) {
				t.Errorf("%q: %d", name, port)
			}
		}
	})
}

// The seeds must be what they say, or the fuzzing tests nothing.
func TestSeedsAreManifests(t *testing.T) {
	r := snapshotWith(change{where: 1199})
	if out := settle(t, &r); len(out.Listeners) < 5 {
		t.Errorf("%d listeners are served", len(out.Listeners))
	}
}
