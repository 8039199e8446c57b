package turn

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestParsePeer(t *testing.T) {
	tests := []struct {
		in, prefix string
		port       uint16
	}{
		{"10.0.0.0/8", "10.0.0.0/8", 0},
		{"10.9.9.9/8:8443", "10.0.0.0/8", 8443},
		{"10.1.2.3", "10.1.2.3/32", 0},
		{"10.1.2.3:8443", "10.1.2.3/32", 8443},
		{"[2001:db8::]/32:8443", "2001:db8::/32", 8443},
		{"[2001:db8::1]:1", "2001:db8::1/128", 1},
		{"2001:db8::1", "2001:db8::1/128", 0},
		{"2001:db8::/32", "2001:db8::/32", 0},
		{"::ffff:10.1.2.3", "10.1.2.3/32", 0},
		{"", "", 0},
		{"host:1", "", 0},
		{"10.0.0.0/33", "", 0},
		{"10.0.0.0/8:", "", 0},
		{"10.0.0.1:0", "", 0},
		{"10.0.0.1:70000", "", 0},
	}
	for _, test := range tests {
		p, err := ParsePeer(test.in)
		if test.prefix == "" {
			if err == nil || !strings.Contains(err.Error(), test.in) {
				t.Errorf("ParsePeer(%q) = %v, %v", test.in, p, err)
			}
			continue
		}
		if err != nil || p.Prefix.String() != test.prefix || p.Port != test.port {
			t.Errorf("ParsePeer(%q) = %v, %v", test.in, p, err)
		}
	}
}

func FuzzParsePeer(f *testing.F) {
	f.Add("10.0.0.0/8:8443", "10.1.1.1:8443")
	f.Add("[2001:db8::]/32", "[2001:db8::1]:1")
	f.Fuzz(func(t *testing.T, s, addr string) {
		p, err := ParsePeer(s)
		if err != nil {
			return
		}
		if !p.Prefix.IsValid() || p.Prefix.Masked() != p.Prefix {
			t.Errorf("ParsePeer(%q) = %v", s, p)
		}
		if a, err := netip.ParseAddrPort(addr); err == nil && newAdmission([]Peer{p}, newOwnAddresses(nil)).refuses(a, a) == "" && (p.Port != 0 && p.Port != a.Port() || !p.Prefix.Contains(a.Addr())) {
			t.Errorf("%v opens %v", p, a)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := func() Config {
		return Config{Listeners: []Listener{{Protocol: UDP, Address: "127.0.0.1:0"}}, Secrets: []string{"s"}}
	}
	for name, test := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no listener": {func(c *Config) { c.Listeners = nil }, "turn.listeners"},
		"protocol":    {func(c *Config) { c.Listeners[0].Protocol = "sctp" }, `"sctp"`},
		"port in use": {func(c *Config) { c.Listeners[0].Address = taken.LocalAddr().String() }, "in use"},
		"second in use": {func(c *Config) {
			c.Listeners = append(c.Listeners, Listener{Protocol: UDP, Address: taken.LocalAddr().String()})
		}, "in use"},
		"no address":   {func(c *Config) { c.Listeners[0].Address = "nonsense" }, "nonsense"},
		"no secret":    {func(c *Config) { c.Secrets = nil }, "secrets.turn"},
		"empty secret": {func(c *Config) { c.Secrets = []string{"a", ""} }, "secrets.turn"},
		"public":       {func(c *Config) { c.PublicAddress = "a b" }, `"a b"`},
		"relay twice": {func(c *Config) {
			c.RelayAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.2")}
		}, "at most one IPv4"},
		"relay any":   {func(c *Config) { c.RelayAddresses = []netip.Addr{netip.MustParseAddr("0.0.0.0")} }, "0.0.0.0"},
		"relay zone":  {func(c *Config) { c.RelayAddresses = []netip.Addr{netip.MustParseAddr("fe80::1%lo")} }, "fe80::1%lo"},
		"user":        {func(c *Config) { c.Users = []User{{"a:b", "p"}} }, "turn.users.0"},
		"no password": {func(c *Config) { c.Users = []User{{"a", "p"}, {"b", ""}} }, "turn.users.1"},
		"certificate": {func(c *Config) { c.Listeners[0].CertFile = "x" }, "shows no certificate"},
		"half a pair": {func(c *Config) {
			c.Listeners[0] = Listener{Protocol: TLS, Address: "127.0.0.1:0", CertFile: "x", KeyFile: ""}
		}, "only one"},
		"missing files": {func(c *Config) {
			c.Listeners[0] = Listener{Protocol: DTLS, Address: "127.0.0.1:0", CertFile: "missing.pem", KeyFile: "x"}
		}, "missing.pem"},
		"bandwidth":      {func(c *Config) { c.MaxBandwidth = 1 }, "100000"},
		"too many":       {func(c *Config) { c.Listeners = make([]Listener, 17) }, "1 to 16"},
		"no such name":   {func(c *Config) { c.Listeners[0].Address = "name.invalid:1" }, "name.invalid"},
		"foreign":        {func(c *Config) { c.Listeners[0].Address = "192.0.2.1:0" }, "192.0.2.1"},
		"port too large": {func(c *Config) { c.Listeners[0].Address = "127.0.0.1:70000" }, "70000"},
		"coordinator":    {func(c *Config) { c.Coordinators = []string{"ftp://a"} }, "ftp://a"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			test.change(&cfg)
			g, err := New(cfg)
			if err == nil {
				t.Fatalf("New accepted it: %v", g.Close())
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
		})
	}
}

func TestURLs(t *testing.T) {
	for _, test := range []struct{ protocol, address, public, before, after string }{
		{UDP, ":0", "", "turn::", "?transport=udp"},
		{UDP, "127.0.0.1:0", "", "turn:127.0.0.1:", "?transport=udp"},
		{UDP, "localhost:0", "", "turn:127.0.0.1:", "?transport=udp"},
		{UDP, "0.0.0.0:0", "", "turn::", "?transport=udp"},
		{UDP, "127.0.0.1:0", "turn.example.org", "turn:turn.example.org:", "?transport=udp"},
		{UDP, ":0", "2001:db8::1", "turn:[2001:db8::1]:", "?transport=udp"},
		{UDP, "[::1]:0", "", "turn:[::1]:", "?transport=udp"},
		{TCP, "127.0.0.1:0", "", "turn:127.0.0.1:", "?transport=tcp"},
		{TLS, "[::]:0", "", "turns::", "?transport=tcp"},
		{DTLS, ":0", "192.0.2.1", "turns:192.0.2.1:", "?transport=udp"},
	} {
		g, err := New(Config{Listeners: []Listener{{Protocol: test.protocol, Address: test.address}}, Secrets: []string{"s"}, PublicAddress: test.public})
		if err != nil {
			t.Fatal(err)
		}
		if u := g.URLs()[0]; !strings.HasPrefix(u, test.before) || !strings.HasSuffix(u, test.after) {
			t.Errorf("%+v announces %s", test, u)
		}
		for range 2 {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
