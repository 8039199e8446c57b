package discovery

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// port of a slice, like "http 8000/TCP"; "-" is what is not there.
func port(text string) discoveryv1.EndpointPort {
	name, rest, _ := strings.Cut(text, " ")
	number, protocol, _ := strings.Cut(rest, "/")
	var p discoveryv1.EndpointPort
	if name != "-" {
		p.Name = &name
	}
	if n, err := strconv.ParseInt(number, 10, 32); err == nil {
		p.Port = new(int32(n))
	}
	if protocol != "-" {
		p.Protocol = new(corev1.Protocol(protocol))
	}
	return p
}

// endpoint with a condition in letters: r, s and t for ready, serving and
// terminating, in capitals if true; what is not named is not said.
func endpoint(conditions string, addresses ...string) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: addresses}
	for _, c := range conditions {
		is := new(c < 'a')
		switch c | 0x20 {
		case 'r':
			e.Conditions.Ready = is
		case 's':
			e.Conditions.Serving = is
		case 't':
			e.Conditions.Terminating = is
		}
	}
	return e
}

func slice(kind discoveryv1.AddressType, ports string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{AddressType: kind, Endpoints: endpoints}
	for p := range strings.SplitSeq(ports, ",") {
		if p != "" {
			s.Ports = append(s.Ports, port(p))
		}
	}
	return s
}

func TestAddressesOfSlices(t *testing.T) {
	const v4, v6, name = discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN
	tests := map[string]struct {
		slices             []*discoveryv1.EndpointSlice
		everyone, serving4 []string // all of port "http"; at port "media" those that have not ceased to serve
	}{
		"none":  {nil, nil, nil},
		"empty": {[]*discoveryv1.EndpointSlice{slice(v4, "http 1/TCP,media 2/UDP")}, nil, nil},
		"two slices, sorted, each once": {[]*discoveryv1.EndpointSlice{
			slice(v4, "http 1/TCP,media 2/UDP", endpoint("RSt", "10.0.0.9"), endpoint("RSt", "10.0.0.10")),
			slice(v4, "http 1/TCP,media 2/UDP", endpoint("RSt", "10.0.0.2", "10.0.0.3"), endpoint("RSt", "10.0.0.9")),
		}, []string{"10.0.0.2:1", "10.0.0.3:1", "10.0.0.9:1", "10.0.0.10:1"}, []string{"10.0.0.2:2", "10.0.0.3:2", "10.0.0.9:2", "10.0.0.10:2"}},
		"slices with other ports": {[]*discoveryv1.EndpointSlice{
			slice(v4, "http 1/TCP,media 2/UDP", endpoint("RS", "10.0.0.1")),
			slice(v4, "http 3/TCP,media 4/UDP", endpoint("RS", "10.0.0.1")),
		}, []string{"10.0.0.1:1", "10.0.0.1:3"}, []string{"10.0.0.1:2", "10.0.0.1:4"}},
		"conditions": {
			[]*discoveryv1.EndpointSlice{slice(v4, "http 1/TCP,media 2/UDP",
				endpoint("RSt", "10.0.0.1"), endpoint("rST", "10.0.0.2"), endpoint("rsT", "10.0.0.3"), endpoint("rst", "10.0.0.4"),
				endpoint("", "10.0.0.5"), endpoint("r", "10.0.0.6"), endpoint("R", "10.0.0.7"), endpoint("Rs", "10.0.0.8"))},
			[]string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1", "10.0.0.5:1", "10.0.0.6:1", "10.0.0.7:1", "10.0.0.8:1"},
			[]string{"10.0.0.1:2", "10.0.0.2:2", "10.0.0.4:2", "10.0.0.5:2", "10.0.0.7:2"},
		},
		"IPv6": {
			[]*discoveryv1.EndpointSlice{slice(v6, "http 1/TCP,media 2/UDP", endpoint("RS", "2001:db8::2", "2001:db8:0::1"))},
			[]string{"[2001:db8::1]:1", "[2001:db8::2]:1"},
			[]string{"[2001:db8::1]:2", "[2001:db8::2]:2"},
		},
		"names":            {[]*discoveryv1.EndpointSlice{slice(name, "http 1/TCP,media 2/UDP", endpoint("RS", "a.example.org", "10.0.0.1"))}, nil, nil},
		"not of the type":  {[]*discoveryv1.EndpointSlice{slice(v4, "http 1/TCP", endpoint("RS", "2001:db8::1")), slice(v6, "http 1/TCP", endpoint("RS", "10.0.0.1"))}, nil, nil},
		"no type":          {[]*discoveryv1.EndpointSlice{slice("", "http 1/TCP", endpoint("RS", "10.0.0.1"))}, nil, nil},
		"another port":     {[]*discoveryv1.EndpointSlice{slice(v4, "ops 1/TCP,probe 2/UDP,- 3/TCP", endpoint("RS", "10.0.0.1"))}, nil, nil},
		"another protocol": {[]*discoveryv1.EndpointSlice{slice(v4, "http 1/UDP,media 2/TCP,http 3/SCTP,media 4/-", endpoint("RS", "10.0.0.1"))}, nil, nil},
		"no protocol":      {[]*discoveryv1.EndpointSlice{slice(v4, "http 1/-", endpoint("RS", "10.0.0.1"))}, []string{"10.0.0.1:1"}, nil},
		"no ports":         {[]*discoveryv1.EndpointSlice{slice(v4, "", endpoint("RS", "10.0.0.1"))}, nil, nil},
		"all ports":        {[]*discoveryv1.EndpointSlice{slice(v4, "http -/TCP,media -/UDP", endpoint("RS", "10.0.0.1"))}, nil, nil},
		"impossible ports": {[]*discoveryv1.EndpointSlice{slice(v4, "http 0/TCP,http -1/TCP,http 65536/TCP,http 65537/TCP", endpoint("RS", "10.0.0.1"))}, nil, nil},
		"malformed": {[]*discoveryv1.EndpointSlice{
			slice(v4, "http 1/TCP", endpoint("RS", "", "x", "0.0.0.0", "224.0.0.1", "127.0.0.1", "169.254.169.254", "255.255.255.255", "10.0.0.1:1", "10.0.0.01", "10.0.0.7")),
			slice(v6, "http 1/TCP", endpoint("RS", "::", "::1", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:10.0.0.1", "2001:db8::1%x", "[2001:db8::1]", "2001:db8::7")),
		}, []string{"10.0.0.7:1", "[2001:db8::7]:1"}, nil},
		"nobody has an address": {[]*discoveryv1.EndpointSlice{slice(v4, "http 1/TCP", endpoint("RS"))}, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			check := func(w wanted, want []string) {
				t.Helper()
				var got []string
				for _, a := range addresses(test.slices, w) {
					got = append(got, a.String())
				}
				if !slices.Equal(got, want) {
					t.Errorf("port %s: %q, want %q", w.port, got, want)
				}
			}
			check(wanted{port: "http", protocol: corev1.ProtocolTCP, limit: 100}, test.everyone)
			check(wanted{port: "media", protocol: corev1.ProtocolUDP, serving: true, limit: 100}, test.serving4)
		})
	}
}

// A Service without a name for its one port.
func TestPortWithoutAName(t *testing.T) {
	for _, text := range []string{"- 7/TCP", " 7/TCP"} {
		got := addresses([]*discoveryv1.EndpointSlice{slice(discoveryv1.AddressTypeIPv4, text, endpoint("R", "10.0.0.1"))},
			wanted{protocol: corev1.ProtocolTCP, limit: 1})
		if len(got) != 1 || got[0].Port() != 7 {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestAddressesAreBounded(t *testing.T) {
	var all []string
	for i := range 2000 {
		all = append(all, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
	}
	slices.Reverse(all)
	list := []*discoveryv1.EndpointSlice{slice(discoveryv1.AddressTypeIPv4, "http 1/TCP", endpoint("R", all...))}
	got := addresses(list, wanted{port: "http", protocol: corev1.ProtocolTCP, limit: MaxEndpoints})
	if len(got) != MaxEndpoints || got[0].String() != "10.0.0.0:1" {
		t.Errorf("%d, the first %v", len(got), got[0])
	}
}

// Slices are writable by others than the controller.
func FuzzAddresses(f *testing.F) {
	f.Add("IPv4", "http", "TCP", int32(8000), "10.0.0.1", true)
	f.Add("IPv6", "http", "", int32(-1), "fe80::1%eth0", false)
	f.Add("FQDN", "", "SCTP", int32(70000), "example.org", true)
	f.Fuzz(func(t *testing.T, kind, name, protocol string, number int32, text string, serving bool) {
		p := corev1.Protocol(protocol)
		s := &discoveryv1.EndpointSlice{
			AddressType: discoveryv1.AddressType(kind), Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &number, Protocol: &p}, {Port: &number}, {}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{text, text}, Conditions: discoveryv1.EndpointConditions{Serving: &serving}}, {}},
		}
		got := addresses([]*discoveryv1.EndpointSlice{s, s, {}}, wanted{port: "http", protocol: corev1.ProtocolTCP, serving: true, limit: 5})
		if len(got) > 1 || len(got) == 1 && (!serving || name != "http" || int32(got[0].Port()) != number) {
			t.Fatalf("%v of %+v", got, s)
		}
		for _, a := range got {
			if u, err := signal.URL(a.String(), ""); err != nil || u != "ws://"+a.String() {
				t.Errorf("%v is the URL %q, %v", a, u, err)
			}
		}
	})
}
