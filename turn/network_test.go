package turn

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/pion/stun"
)

// told is a Network that a test speaks for. asked gets one when it is watched.
type told struct {
	says  chan []netip.Prefix
	asked chan struct{}
}

func newTold() told { return told{make(chan []netip.Prefix), make(chan struct{}, 1)} }

// Watch implements Network.
func (n told) Watch(ctx context.Context, update func([]netip.Prefix)) {
	n.asked <- struct{}{}
	for {
		select {
		case list := <-n.says:
			update(list)
		case <-ctx.Done():
			return
		}
	}
}

var _ Network = told{}

func prefixesOf(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// A prefix opens nothing of the service network, whatever the two have in common;
// one address does, and so does a worker that is listed.
func TestAdmissionOfNetwork(t *testing.T) {
	for name, test := range map[string]struct {
		peers   []Peer
		network []netip.Prefix
		want    map[string]string
	}{
		"within":         {peersOf(t, "10.0.0.0/8"), prefixesOf("10.96.0.0/16"), map[string]string{"10.96.0.1:443": whyService, "10.96.255.255:1": whyService, "10.97.0.0:1": "", "10.95.0.1:1": ""}},
		"the same":       {peersOf(t, "10.96.0.0/16"), prefixesOf("10.96.0.0/16"), map[string]string{"10.96.0.1:443": whyService}},
		"a part of it":   {peersOf(t, "10.96.7.0/24", "10.96.8.0/31"), prefixesOf("10.96.0.0/16"), map[string]string{"10.96.7.7:53": whyService, "10.96.8.1:53": whyService}},
		"named by one":   {peersOf(t, "10.0.0.0/8", "10.96.0.10:53", "10.96.0.11/32"), prefixesOf("10.96.0.0/16"), map[string]string{"10.96.0.10:53": "", "10.96.0.10:54": whyPort, "10.96.0.11:9": "", "10.96.0.12:53": whyService}},
		"with a port":    {peersOf(t, "10.0.0.0/8:53"), prefixesOf("10.96.0.0/16"), map[string]string{"10.96.0.10:53": whyService, "10.1.0.1:53": "", "10.1.0.1:54": whyPort}},
		"several":        {peersOf(t, "10.0.0.0/8"), prefixesOf("10.96.0.0/28", "10.97.0.0/24"), map[string]string{"10.96.0.1:1": whyService, "10.96.0.16:1": "", "10.97.0.9:1": whyService}},
		"dual stack":     {peersOf(t, "10.0.0.0/8", "fd00::/8", "fd96::10"), prefixesOf("10.96.0.0/16", "fd96::/108"), map[string]string{"10.96.0.1:1": whyService, "[fd96::1]:1": whyService, "[fd96::10]:1": "", "[fd96:1::1]:1": ""}},
		"other family":   {peersOf(t, "fd00::/8"), prefixesOf("10.96.0.0/16"), map[string]string{"[fd96::1]:1": "", "10.96.0.1:1": whyPrivate}},
		"public":         {peersOf(t, "34.0.0.0/8"), prefixesOf("34.118.224.0/20"), map[string]string{"34.118.224.1:443": whyService, "34.118.240.1:443": ""}},
		"class first":    {peersOf(t, "0.0.0.0/0"), prefixesOf("0.0.0.0/0"), map[string]string{"169.254.169.254:80": whyLinkLocal, "10.96.0.1:1": whyPrivate, "198.51.100.1:1": whyService}},
		"with pods' own": {peersOf(t, "10.0.0.0/8"), prefixesOf("10.244.0.0/16"), map[string]string{"10.244.1.9:8443": "", "10.244.1.9:22": whyService, "10.244.1.10:8443": whyService}},
		"none":           {peersOf(t, "10.0.0.0/8"), nil, map[string]string{"10.96.0.1:443": ""}},
		"not known yet":  {peersOf(t, "10.0.0.0/8", "198.51.100.0/24", "2001:db8::/32", "10.96.0.10"), anyNetwork(), map[string]string{"10.1.0.1:1": whyService, "198.51.100.1:1": whyService, "[2001:db8::1]:1": whyService, "10.96.0.10:1": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			a := admissionOf(test.peers...)
			a.update("a", addrs("10.244.1.9:8443"))
			before := a.Generation()
			a.closeNetwork(test.network)
			if a.Generation() == before {
				t.Error("the generation stays the same")
			}
			expect(t, a, test.want)
			for s, why := range test.want {
				if got := a.refusesIP(loopbackClient(), netip.MustParseAddrPort(s).Addr()); why == whyService && got == "" && s != "10.244.1.9:22" {
					t.Errorf("any port of %s is open", s)
				}
			}
			a.open(test.peers, nil) // as a new configuration has it
			expect(t, a, test.want)
		})
	}
}

// The first prefix is noticed, whether it is there from the start or comes later.
func TestAdmissionIsWide(t *testing.T) {
	for name, test := range map[string]struct {
		at, later []Peer
		want      []bool
	}{
		"none":       {nil, nil, []bool{false, false}},
		"single":     {peersOf(t, "10.96.0.10", "2001:db8::1"), peersOf(t, "10.96.0.11/32"), []bool{false, false}},
		"at once":    {peersOf(t, "10.0.0.0/8"), nil, []bool{true, true}},
		"later":      {nil, peersOf(t, "10.96.0.10", "2001:db8::/127"), []bool{false, true}},
		"once again": {peersOf(t, "10.0.0.0/8"), peersOf(t, "10.0.0.0/9"), []bool{true, true}},
	} {
		a := admissionOf(test.at...)
		var got []bool
		for range 2 {
			select {
			case <-a.wide:
				got = append(got, true)
			default:
				got = append(got, false)
			}
			a.open(test.later, nil)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: wide %v, want %v", name, got, test.want)
		}
	}
}

// A gate in a cluster opens no prefix before it knows the service network, follows
// that, and asks for it only when there is a prefix.
func TestNetwork(t *testing.T) {
	pod, service, network := socket(t, "127.0.0.1:0"), netip.MustParseAddrPort("198.51.100.1:53"), newTold()
	g := start(t, func(c *Config) { c.Peers, c.Network = []Peer{peerOf(pod)}, network })
	c := g.call(t, 0).minted("abc").allocate()
	bind := func(number uint16, peer netip.AddrPort) int {
		return c.ask(stun.MethodChannelBind, channel(number), xorPeer(peer))
	}
	if code := bind(minChannel, peerOf(pod).addrPort()); code != 0 {
		t.Errorf("a single address is refused: %d", code)
	}
	select {
	case <-network.asked:
		t.Error("the network is asked for without a prefix")
	default:
	}
	if err := g.Reconfigure(base(func(c *Config) { c.Peers = peersOf(t, "198.51.100.0/24") })); err != nil {
		t.Fatal(err)
	}
	<-network.asked
	outside := netip.MustParseAddrPort("198.51.100.200:53")
	if code := bind(minChannel+1, outside); code != 403 {
		t.Errorf("before the network is known: %d", code)
	}
	network.says <- prefixesOf("198.51.100.0/25")
	until(t, "the prefix", func() bool { return bind(minChannel+1, outside) == 0 })
	if code := bind(minChannel+2, service); code != 403 {
		t.Errorf("an address of the network: %d", code)
	}
	network.says <- prefixesOf("198.51.100.0/25", "198.51.100.128/25")
	another := netip.MustParseAddrPort("198.51.100.201:53")
	until(t, "the second network", func() bool { return g.admission.refuses(loopbackClient(), another) == whyService })
	if code := bind(minChannel+3, another); code != 403 {
		t.Errorf("an address of the second network: %d", code)
	}
	if code := bind(minChannel+1, outside); code != 0 {
		t.Errorf("a channel in use is not prolonged: %d", code)
	}
	if err := g.Reconfigure(base(func(c *Config) { c.Peers = peersOf(t, "198.51.100.0/24", "198.51.100.1") })); err != nil {
		t.Fatal(err)
	}
	if code := bind(minChannel+2, service); code != 0 {
		t.Errorf("an address of the network that is named: %d", code)
	}
}
