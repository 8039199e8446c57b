package gateway

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// routeOf is a UDPRoute in the namespace team.
func routeOf(version, parents, backends string) string {
	return "apiVersion: " + version + "\nkind: UDPRoute\nmetadata: {name: r, namespace: team, generation: 5}\nspec:\n  parentRefs: [" + parents + "]\n  rules: [{backendRefs: [" + backends + "]}]"
}

const (
	ofUpstream = "gateway.networking.k8s.io/v1"
	ofAlpha    = "gateway.networking.k8s.io/v1alpha2"
	ofOurs     = "cloudretro.dev/v1"

	toGateway = "{name: g, namespace: infra}"
	toService = "{name: games, port: 8443}"

	fromAll  = "    - {name: l, port: 3478, protocol: UDP, allowedRoutes: {namespaces: {from: All}}}"
	fromTeam = "    - {name: l, port: 3478, protocol: UDP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kind: games}}}}}"
)

// team is a namespace with backends.
const team = `
apiVersion: v1
kind: Namespace
metadata: {name: team, labels: {kind: games}}
---
apiVersion: v1
kind: Service
metadata: {name: games, namespace: team}
spec: {ports: [{name: media, port: 8443, protocol: UDP, targetPort: media}, {name: web, port: 80, protocol: TCP}, {name: both, port: 53, protocol: TCP}, {name: both-udp, port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: games-1, namespace: team, labels: {kubernetes.io/service-name: games}}
addressType: IPv4
ports: [{name: media, port: 9443, protocol: UDP}, {name: web, port: 80, protocol: TCP}, {name: both-udp, port: 53, protocol: UDP}, {name: media, port: 70000, protocol: UDP}]
endpoints: [{addresses: [10.1.0.1]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: games-2, namespace: team, labels: {kubernetes.io/service-name: games}}
addressType: IPv6
ports: [{name: media, port: 9444, protocol: UDP}]
endpoints: [{addresses: ["fd00::1"]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: games-3, namespace: other, labels: {kubernetes.io/service-name: games}}
addressType: IPv4
ports: [{name: media, port: 9443, protocol: UDP}]
endpoints: [{addresses: [10.9.9.9]}]
---
apiVersion: v1
kind: Service
metadata: {name: games, namespace: other}
spec: {ports: [{name: media, port: 8443, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: team}
spec: {type: ExternalName, externalName: example.com}
---
apiVersion: cloudretro.dev/v1
kind: StaticService
metadata: {name: static, namespace: team}
spec: {prefixes: [192.0.2.7/24, "2001:db8::/32", 198.51.100.4]}
---
apiVersion: cloudretro.dev/v1
kind: StaticService
metadata: {name: ranged, namespace: team}
spec: {prefixes: [192.0.2.0/24], ports: [{port: 5000, endPort: 6000}, {port: 53}]}
---
apiVersion: cloudretro.dev/v1
kind: StaticService
metadata: {name: wrong, namespace: team}
spec: {prefixes: [192.0.2.0/24, nonsense]}
---
apiVersion: cloudretro.dev/v1
kind: StaticService
metadata: {name: upside-down, namespace: team}
spec: {prefixes: [192.0.2.0/24], ports: [{port: 5, endPort: 4}]}
---
apiVersion: cloudretro.dev/v1
kind: StaticService
metadata: {name: malformed, namespace: team}
spec: {prefixes: text}
`

func grantOf(group, namespace, kind, toGroup string) string {
	return fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: other}\nspec: {from: [{group: %s, kind: UDPRoute, namespace: %s}], to: [{group: '%s', kind: %s}]}", group, namespace, toGroup, kind)
}

func endpoints(s ...string) (all []netip.AddrPort) {
	for _, e := range s {
		all = append(all, netip.MustParseAddrPort(e))
	}
	return all
}

func peer(prefix string, from, to uint16) Peer {
	return Peer{netip.MustParsePrefix(prefix), from, to}
}

func TestBackends(t *testing.T) {
	const resolved = "True ResolvedRefs"
	media := endpoints("10.1.0.1:9443", "[fd00::1]:9444")
	pods := func(from, to uint16) []Peer {
		return []Peer{peer("10.1.0.1/32", from, to), peer("fd00::1/128", from, to)}
	}
	static := []Peer{peer("192.0.2.0/24", 0, 0), peer("198.51.100.4/32", 0, 0), peer("2001:db8::/32", 0, 0)}
	for name, test := range map[string]struct {
		version, backend, grant string
		want                    string
		endpoints               []netip.AddrPort
		peers                   []Peer
	}{
		"named target port":        {ofUpstream, toService, "", resolved, media, nil},
		"v1alpha2":                 {ofAlpha, toService, "", resolved, media, nil},
		"own with a port":          {ofOurs, toService, "", resolved, media, nil},
		"the UDP one of two":       {ofUpstream, "{name: games, port: 53}", "", resolved, endpoints("10.1.0.1:53"), nil},
		"weight 0":                 {ofUpstream, "{name: games, port: 8443, weight: 0}", "", resolved, nil, nil},
		"no such Service":          {ofUpstream, "{name: none, port: 8443}", "", "False BackendNotFound", nil, nil},
		"no such port":             {ofUpstream, "{name: games, port: 1}", "", "False BackendNotFound", nil, nil},
		"port of TCP":              {ofUpstream, "{name: games, port: 80}", "", "False UnsupportedProtocol", nil, nil},
		"no port upstream":         {ofUpstream, "{name: games}", "", "False BackendNotFound", nil, nil},
		"name outside":             {ofUpstream, "{name: outside, port: 1}", "", "False UnsupportedValue", nil, nil},
		"unknown kind":             {ofUpstream, "{name: games, kind: Pod, port: 1}", "", "False InvalidKind", nil, nil},
		"unknown group":            {ofUpstream, "{name: games, group: example.com, port: 1}", "", "False InvalidKind", nil, nil},
		"one good, one bad":        {ofUpstream, toService + ", {name: none, port: 1}", "", "False BackendNotFound", media, nil},
		"the same twice":           {ofUpstream, toService + ", " + toService, "", resolved, media, nil},
		"other namespace":          {ofUpstream, "{name: games, namespace: other, port: 8443}", "", "False RefNotPermitted", nil, nil},
		"with a grant":             {ofUpstream, "{name: games, namespace: other, port: 8443}", grantOf("gateway.networking.k8s.io", "team", "Service", ""), resolved, endpoints("10.9.9.9:9443"), nil},
		"grant of another kind":    {ofUpstream, "{name: games, namespace: other, port: 8443}", grantOf("gateway.networking.k8s.io", "team", "StaticService", "cloudretro.dev"), "False RefNotPermitted", nil, nil},
		"grant to others":          {ofUpstream, "{name: games, namespace: other, port: 8443}", grantOf("gateway.networking.k8s.io", "else", "Service", ""), "False RefNotPermitted", nil, nil},
		"grant to our UDPRoutes":   {ofUpstream, "{name: games, namespace: other, port: 8443}", grantOf("cloudretro.dev", "team", "Service", ""), "False RefNotPermitted", nil, nil},
		"own, with a grant":        {ofOurs, "{name: games, namespace: other}", grantOf("cloudretro.dev", "team", "Service", ""), resolved, nil, []Peer{peer("10.9.9.9/32", 0, 0)}},
		"granted but missing":      {ofUpstream, "{name: none, namespace: other, port: 8443}", grantOf("gateway.networking.k8s.io", "team", "Service", ""), "False BackendNotFound", nil, nil},
		"own without a port":       {ofOurs, "{name: games}", "", resolved, nil, pods(0, 0)},
		"own with a range":         {ofOurs, "{name: games, port: 5000, endPort: 6000}", "", resolved, nil, pods(5000, 6000)},
		"own with the pods' port":  {ofOurs, "{name: games, port: 7000}", "", resolved, endpoints("10.1.0.1:7000", "[fd00::1]:7000"), nil},
		"own with a TCP port":      {ofOurs, "{name: games, port: 80}", "", "False UnsupportedProtocol", nil, nil},
		"range upside down":        {ofOurs, "{name: games, port: 6000, endPort: 5000}", "", "False UnsupportedValue", nil, nil},
		"range without a port":     {ofOurs, "{name: games, endPort: 5000}", "", "False UnsupportedValue", nil, nil},
		"range too far":            {ofOurs, "{name: games, port: 1, endPort: 70000}", "", "False UnsupportedValue", nil, nil},
		"static":                   {ofUpstream, "{name: static, group: cloudretro.dev, kind: StaticService}", "", resolved, nil, static},
		"static, STUNner's group":  {ofOurs, "{name: static, group: stunner.l7mp.io, kind: StaticService}", "", resolved, nil, static},
		"static with a port":       {ofOurs, "{name: static, group: cloudretro.dev, kind: StaticService, port: 53}", "", resolved, nil, []Peer{peer("192.0.2.0/24", 53, 53), peer("198.51.100.4/32", 53, 53), peer("2001:db8::/32", 53, 53)}},
		"static with ranges":       {ofOurs, "{name: ranged, group: cloudretro.dev, kind: StaticService}", "", resolved, nil, []Peer{peer("192.0.2.0/24", 53, 53), peer("192.0.2.0/24", 5000, 6000)}},
		"static with nonsense":     {ofOurs, "{name: wrong, group: cloudretro.dev, kind: StaticService}", "", "False UnsupportedValue", nil, []Peer{peer("192.0.2.0/24", 0, 0)}},
		"static upside down":       {ofOurs, "{name: upside-down, group: cloudretro.dev, kind: StaticService}", "", "False UnsupportedValue", nil, nil},
		"static malformed":         {ofOurs, "{name: malformed, group: cloudretro.dev, kind: StaticService}", "", "False UnsupportedValue", nil, nil},
		"static missing":           {ofOurs, "{name: none, group: cloudretro.dev, kind: StaticService}", "", "False BackendNotFound", nil, nil},
		"static elsewhere":         {ofOurs, "{name: static, namespace: other, group: cloudretro.dev, kind: StaticService}", "", "False RefNotPermitted", nil, nil},
		"static elsewhere, grant ": {ofOurs, "{name: static, namespace: other, group: cloudretro.dev, kind: StaticService}", grantOf("cloudretro.dev", "team", "StaticService", "cloudretro.dev"), "False BackendNotFound", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := snapshot(t, classOf(""), gatewayOf("", "", fromAll), team, routeOf(test.version, toGateway, test.backend))
			if test.grant != "" {
				if err := r.add(test.grant); err != nil {
					t.Fatal(err)
				}
			}
			l := served(t, settle(t, &r), "infra/g/l")
			route := slices.Concat(r.Routes, r.OwnRoutes)[0]
			expect(t, "route", route.Status.Parents[0].Conditions, "Accepted=True Accepted", "ResolvedRefs="+test.want)
			if !slices.Equal(l.Endpoints, test.endpoints) || !slices.Equal(l.Peers, test.peers) {
				t.Errorf("endpoints %v, peers %v; want %v, %v", l.Endpoints, l.Peers, test.endpoints, test.peers)
			}
		})
	}
}

// The addresses of Services are opened by no prefix that only contains them, and
// by no slice that somebody wrote by hand.
func TestAddressesOfServices(t *testing.T) {
	const inside = `
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: other}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, "fd96::10"], ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: other}
spec: {clusterIP: None, clusterIPs: [None], ports: [{name: a, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: forged, namespace: team}
spec: {ports: [{name: a, port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: forged, namespace: team, labels: {kubernetes.io/service-name: forged}}
addressType: IPv4
ports: [{name: a, port: 53, protocol: UDP}]
endpoints: [{addresses: [10.96.0.10]}, {addresses: [10.1.0.9]}]
---
apiVersion: cloudretro.dev/v1
kind: StaticService
metadata: {name: wide, namespace: team}
spec: {prefixes: [10.0.0.0/8]}
---
apiVersion: cloudretro.dev/v1
kind: StaticService
metadata: {name: one, namespace: team}
spec: {prefixes: [10.96.0.10]}
`
	services := []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd96::10")}
	for name, test := range map[string]struct {
		version, backend string
		endpoints        []netip.AddrPort
		peers            []Peer
		closed           []netip.Addr
	}{
		"a wide prefix":     {ofUpstream, "{name: wide, group: cloudretro.dev, kind: StaticService}", nil, []Peer{peer("10.0.0.0/8", 0, 0)}, services},
		"named by itself":   {ofUpstream, "{name: one, group: cloudretro.dev, kind: StaticService}", nil, []Peer{peer("10.96.0.10/32", 0, 0)}, nil},
		"forged":            {ofUpstream, "{name: forged, port: 53}", endpoints("10.1.0.9:53"), nil, nil},
		"forged, all ports": {ofOurs, "{name: forged}", nil, []Peer{peer("10.1.0.9/32", 0, 0)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := snapshot(t, classOf(""), gatewayOf("", "", fromAll), inside, routeOf(test.version, toGateway, test.backend))
			l := served(t, settle(t, &r), "infra/g/l")
			if !slices.Equal(l.Endpoints, test.endpoints) || !slices.Equal(l.Peers, test.peers) || !slices.Equal(l.Closed, test.closed) {
				t.Errorf("endpoints %v, peers %v, closed %v; want %+v", l.Endpoints, l.Peers, l.Closed, test)
			}
		})
	}
}

func TestParents(t *testing.T) {
	for name, test := range map[string]struct {
		listeners, version, parent, want string
	}{
		"all namespaces":           {fromAll, ofUpstream, toGateway, "True Accepted"},
		"selected namespace":       {fromTeam, ofUpstream, toGateway, "True Accepted"},
		"other namespace selected": {strings.ReplaceAll(fromTeam, "games", "web"), ofUpstream, toGateway, "False NotAllowedByListeners"},
		"no selector":              {strings.ReplaceAll(fromTeam, ", selector: {matchLabels: {kind: games}}", ""), ofUpstream, toGateway, "False NotAllowedByListeners"},
		"same namespace only":      {oneUDP, ofUpstream, toGateway, "False NotAllowedByListeners"},
		"no namespace":             {strings.ReplaceAll(fromAll, "All", "None"), ofUpstream, toGateway, "False NotAllowedByListeners"},
		"listener by name":         {fromAll, ofUpstream, "{name: g, namespace: infra, sectionName: l}", "True Accepted"},
		"listener by port":         {fromAll, ofUpstream, "{name: g, namespace: infra, port: 3478}", "True Accepted"},
		"listener by both":         {fromAll, ofUpstream, "{name: g, namespace: infra, sectionName: l, port: 3478}", "True Accepted"},
		"no such listener":         {fromAll, ofUpstream, "{name: g, namespace: infra, sectionName: m}", "False NoMatchingParent"},
		"no such port":             {fromAll, ofUpstream, "{name: g, namespace: infra, port: 3479}", "False NoMatchingParent"},
		"another's port":           {fromAll + "\n    - {name: m, port: 1, protocol: UDP}", ofUpstream, "{name: g, namespace: infra, sectionName: l, port: 1}", "False NoMatchingParent"},
		"kind allowed":             {strings.ReplaceAll(fromAll, "allowedRoutes: {", "allowedRoutes: {kinds: [{kind: UDPRoute}], "), ofUpstream, toGateway, "True Accepted"},
		"kind not allowed":         {strings.ReplaceAll(fromAll, "allowedRoutes: {", "allowedRoutes: {kinds: [{kind: UDPRoute}], "), ofOurs, toGateway, "False NotAllowedByListeners"},
		"own kind allowed":         {strings.ReplaceAll(fromAll, "allowedRoutes: {", "allowedRoutes: {kinds: [{group: cloudretro.dev, kind: UDPRoute}], "), ofOurs, toGateway, "True Accepted"},
		"unsupported protocol":     {strings.ReplaceAll(fromAll, "UDP", "HTTP"), ofUpstream, toGateway, "False NotAllowedByListeners"},
		"one of two listeners":     {oneUDP + "\n    - {name: m, port: 1, protocol: TCP, allowedRoutes: {namespaces: {from: All}}}", ofUpstream, toGateway, "True Accepted"},
		"no such Gateway":          {fromAll, ofUpstream, "{name: h, namespace: infra}", ""},
		"Gateway elsewhere":        {fromAll, ofUpstream, "{name: g}", ""},
		"another kind":             {fromAll, ofUpstream, "{name: g, namespace: infra, kind: Service, group: ''}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := snapshot(t, classOf(""), gatewayOf("", "", test.listeners), team, routeOf(test.version, test.parent, toService))
			out := settle(t, &r)
			route, attached := slices.Concat(r.Routes, r.OwnRoutes)[0], int32(0)
			for _, l := range gatewayNamed(t, r, "g").Status.Listeners {
				attached += l.AttachedRoutes
			}
			if (attached > 0) != (test.want == "True Accepted") {
				t.Errorf("%d attached routes", attached)
			}
			for _, l := range out.Listeners {
				if len(l.Endpoints) > 0 && test.want != "True Accepted" {
					t.Errorf("a route that is not attached opens %v", l.Endpoints)
				}
			}
			if test.want == "" {
				if len(route.Status.Parents) != 0 {
					t.Errorf("%+v", route.Status)
				}
				return
			}
			if len(route.Status.Parents) != 1 || route.Status.Parents[0].Conditions[0].ObservedGeneration != 5 {
				t.Fatalf("%+v", route.Status)
			}
			expect(t, "route", route.Status.Parents[0].Conditions, "Accepted="+test.want)
		})
	}
}

func TestAttachedRoutesCountOnListenersThatAreNotAccepted(t *testing.T) {
	two := fromAll + "\n    - {name: m, port: 3478, protocol: TURN-UDP}"
	r := snapshot(t, classOf(""), gatewayOf("", "", two), team, routeOf(ofUpstream, toGateway, toService))
	settle(t, &r)
	l := listenerNamed(t, gatewayNamed(t, r, "g"), "l")
	expect(t, "listener", l.Conditions, "Accepted=False ProtocolConflict")
	if l.AttachedRoutes != 1 {
		t.Errorf("%d attached", l.AttachedRoutes)
	}
}

// Two parentRefs to one listener are one route at it, and each has its status.
func TestARouteIsCountedOnce(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", fromAll), team,
		routeOf(ofUpstream, toGateway+", {name: g, namespace: infra, sectionName: l}, "+toGateway, toService))
	settle(t, &r)
	if l := listenerNamed(t, gatewayNamed(t, r, "g"), "l"); l.AttachedRoutes != 1 {
		t.Errorf("%d attached", l.AttachedRoutes)
	}
	if parents := r.Routes[0].Status.Parents; len(parents) != 2 {
		t.Errorf("%+v", parents)
	}
}

func TestMalformedRouteIsTold(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", fromAll), team, strings.ReplaceAll(routeOf(ofOurs, toGateway, toService), "8443", "many"))
	settle(t, &r)
	expect(t, "route", r.OwnRoutes[0].Status.Parents[0].Conditions, "Accepted=False UnsupportedValue")
}

func TestParentsOfOthersStay(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", fromAll), team, routeOf(ofUpstream, toGateway, toService))
	others := gatewayv1.RouteParentStatus{ParentRef: gatewayv1.ParentReference{Name: "x"}, ControllerName: "example.com/a", Conditions: []metav1.Condition{{Type: "Accepted", Status: "False"}}}
	stale := gatewayv1.RouteParentStatus{ParentRef: gatewayv1.ParentReference{Name: "gone"}, ControllerName: "cloudretro.dev/turn"}
	last := others
	last.ParentRef.Name = "y"
	r.Routes[0].Status.Parents = []gatewayv1.RouteParentStatus{others, stale, last}
	settle(t, &r)
	parents := r.Routes[0].Status.Parents
	if len(parents) != 3 || !reflect.DeepEqual(parents[0], others) || !reflect.DeepEqual(parents[1], last) || parents[2].ParentRef.Name != "g" {
		t.Fatalf("%+v", parents)
	}
	// Ours keep their place; without a Gateway they go.
	r.Routes[0].Status.Parents = []gatewayv1.RouteParentStatus{parents[2], others}
	if out := Translate(r, settings()); len(out.Routes) != 0 {
		t.Errorf("%+v", out.Routes)
	}
	r.Gateways = nil
	settle(t, &r)
	if parents := r.Routes[0].Status.Parents; len(parents) != 1 || parents[0].ControllerName != "example.com/a" {
		t.Errorf("%+v", parents)
	}
	// A list that others filled is not made longer than it may be.
	many := slices.Repeat([]gatewayv1.RouteParentStatus{others}, maxParents)
	r = snapshot(t, classOf(""), gatewayOf("", "", fromAll), team, routeOf(ofUpstream, toGateway, toService))
	r.Routes[0].Status.Parents = many
	if out := Translate(r, settings()); len(out.Routes) != 0 {
		t.Errorf("%+v", out.Routes)
	}
}

func TestBackendsThatStartOrEnd(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", fromAll), team, routeOf(ofUpstream, toGateway, toService))
	for i, c := range []discoveryv1.EndpointConditions{
		{Serving: new(false), Terminating: new(false)}, // starts
		{Serving: new(true), Terminating: new(true)},   // drains
		{Serving: new(false), Terminating: new(true)},
		{Ready: new(false)}, // nothing says that it starts
	} {
		slice := r.Slices[0]
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.9.0.%d", i)}, Conditions: c})
	}
	for i, want := range []bool{true, true, false, false} {
		address := netip.AddrFrom4([4]byte{10, 9, 0, byte(i)})
		got := slices.ContainsFunc(served(t, settle(t, &r), "infra/g/l").Endpoints, func(a netip.AddrPort) bool { return a.Addr() == address })
		if got != want {
			t.Errorf("relaying to %s: %v, want %v", address, got, want)
		}
	}
}

func TestBackendsAreBounded(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", fromAll), team, routeOf(ofUpstream, toGateway, toService), strings.ReplaceAll(routeOf(ofOurs, toGateway, "{name: games}"), "name: r,", "name: s,"))
	slice := &discoveryv1.EndpointSlice{ObjectMeta: *r.Slices[0].ObjectMeta.DeepCopy(), AddressType: discoveryv1.AddressTypeIPv4, Ports: r.Slices[0].Ports}
	slice.Name = "games-0"
	for i := range MaxEndpoints + 10 {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}).String()}})
	}
	r.Slices = append(r.Slices, slice)
	l := served(t, settle(t, &r), "infra/g/l")
	if len(l.Endpoints) != MaxEndpoints || len(l.Peers) != MaxPeers {
		t.Errorf("%d endpoints, %d peers", len(l.Endpoints), len(l.Peers))
	}
	for _, c := range listenerNamed(t, gatewayNamed(t, r, "g"), "l").Conditions {
		if c.Type == "Programmed" && !strings.Contains(c.Message, "only the first") {
			t.Errorf("%+v", c)
		}
	}
}
