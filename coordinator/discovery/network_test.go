package discovery

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

func cidrs(list ...string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{Spec: networkingv1.ServiceCIDRSpec{CIDRs: list}}
}

// text is prefixes in one line.
func text(list []netip.Prefix) string { return strings.Trim(fmt.Sprint(list), "[]") }

func TestPrefixesOfServiceCIDRs(t *testing.T) {
	four, six := netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("fd96::1")
	for name, test := range map[string]struct {
		list   []*networkingv1.ServiceCIDR
		server netip.Addr
		want   string
	}{
		"none":             {nil, four, ""},
		"empty":            {[]*networkingv1.ServiceCIDR{cidrs()}, four, ""},
		"one":              {[]*networkingv1.ServiceCIDR{cidrs("10.96.0.0/16")}, four, "10.96.0.0/16 10.96.0.1/32"},
		"dual stack":       {[]*networkingv1.ServiceCIDR{cidrs("10.96.0.0/16", "fd96::/108")}, four, "10.96.0.0/16 10.96.0.1/32 fd96::/108"},
		"IPv6 first":       {[]*networkingv1.ServiceCIDR{cidrs("fd96::/108", "10.96.0.0/16")}, six, "10.96.0.0/16 fd96::/108 fd96::1/128"},
		"several":          {[]*networkingv1.ServiceCIDR{cidrs("10.97.0.0/24"), cidrs("10.96.0.0/28")}, four, "10.96.0.0/28 10.96.0.1/32 10.97.0.0/24"},
		"twice":            {[]*networkingv1.ServiceCIDR{cidrs("10.96.0.0/16"), cidrs("10.96.0.0/16")}, four, "10.96.0.0/16 10.96.0.1/32"},
		"outside of a pod": {[]*networkingv1.ServiceCIDR{cidrs("10.96.0.0/16")}, netip.Addr{}, "10.96.0.0/16"},
		"not masked":       {[]*networkingv1.ServiceCIDR{cidrs("10.96.7.7/16")}, netip.Addr{}, "10.96.0.0/16"},
		"malformed":        {[]*networkingv1.ServiceCIDR{cidrs("10.96.0.0", "x/1", "", "10.96.0.0/16")}, netip.Addr{}, "10.96.0.0/16"},
		"only malformed":   {[]*networkingv1.ServiceCIDR{cidrs("10.96.0.0/99")}, four, ""},
		"too many":         {slices.Repeat([]*networkingv1.ServiceCIDR{cidrs("10.96.0.0/28", "fd96::/112")}, maxNetworks), four, "0.0.0.0/0 ::/0"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := text(prefixes(test.list, test.server)); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// The networks that installers of Kubernetes choose are within what is taken for
// them where they cannot be read.
func TestAroundTheServer(t *testing.T) {
	for server, test := range map[string]struct{ is, want string }{
		"10.96.0.1":     {"10.96.0.0/12", "10.96.0.0/12"}, // kubeadm
		"10.43.0.1":     {"10.43.0.0/16", "10.43.0.0/16"}, // k3s
		"10.152.183.1":  {"10.152.183.0/24", "10.152.183.0/24"},
		"172.20.0.1":    {"172.20.0.0/16", "172.20.0.0/14"}, // EKS
		"10.100.0.1":    {"10.100.0.0/16", "10.100.0.0/14"}, // EKS
		"34.118.224.1":  {"34.118.224.0/20", "34.118.224.0/19"},
		"10.0.0.1":      {"10.0.0.0/16", "10.0.0.0/12"}, // AKS
		"172.30.0.1":    {"172.30.0.0/16", "172.30.0.0/15"},
		"192.168.1.129": {"192.168.1.128/28", "192.168.1.128/25"},
		"fd96::1":       {"fd96::/108", "fd96::/64"},
		"fd00:1:2::1":   {"fd00:1:2::/112", "fd00:1:2::/64"},
		"10.96.0.10":    {"10.96.0.10/32", "10.96.0.10/32"}, // said by somebody else
		"0.0.0.0":       {"0.0.0.0/32", "0.0.0.0/32"},
		"::":            {"::/128", "::/128"},
	} {
		got := around(netip.MustParseAddr(server))
		if text(got) != test.want {
			t.Errorf("around %s: %v, want %s", server, got, test.want)
		}
		if is := netip.MustParsePrefix(test.is); !got[0].Overlaps(is) || got[0].Bits() > is.Bits() {
			t.Errorf("around %s: %v does not hold %s", server, got, is)
		}
	}
	if got := around(netip.Addr{}); got == nil || len(got) != 0 {
		t.Errorf("around nothing: %v", got)
	}
}

// Whatever a server's address is, it is within what is taken for the network, and
// that is no wider than may be.
func FuzzAround(f *testing.F) {
	for _, s := range []string{"10.96.0.1", "fd96::1", "0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:10.0.0.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		server, err := netip.ParseAddr(s)
		if err != nil || server.Zone() != "" {
			return
		}
		got := around(server)
		if len(got) != 1 || !got[0].Contains(server) || got[0].Masked() != got[0] || got[0].Bits() < widestIPv4 || server.Is6() && got[0].Bits() < widestIPv6 {
			t.Errorf("around %s: %v", server, got)
		}
	})
}
