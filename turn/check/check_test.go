package check

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun"
	"github.com/pion/turn/v2"
)

func TestWell(t *testing.T) {
	a := newAuthority(t)
	cert := sign(t, a, time.Now().Add(-time.Minute), nil)
	tests := []struct {
		name, legs string
		url        func(*testing.T) string
	}{
		{"udp", "resolve stun allocate peer data", func(t *testing.T) string { return overUDP(t, nil) }},
		{"tcp", "resolve connect stun allocate peer data", func(t *testing.T) string { return over(t, listenTCP(t), "turn", "tcp") }},
		{"tls", "resolve connect tls stun allocate peer data", func(t *testing.T) string { return over(t, listenTLS(t, cert), "turns", "tcp") }},
		{"dtls", "resolve dtls stun allocate peer data", func(t *testing.T) string { return over(t, listenDTLS(t, cert), "turns", "udp") }},
		{"a name", "resolve stun allocate peer data", func(t *testing.T) string {
			return strings.Replace(overUDP(t, nil), "127.0.0.1", "localhost", 1)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := quick(tt.url(t))
			cfg.RootCAs = a.pool
			r := walk(t, cfg)
			wantLegs(t, r, tt.legs)
			d := r.Data
			if d == nil || d.Sent < 10 || d.Loss() > maxLoss || d.Median <= 0 || d.P95 < d.Median || d.Longest < d.P99 || d.Throughput < 1e6 {
				t.Errorf("data %+v", d)
			}
		})
	}
}

func TestStaticUser(t *testing.T) {
	cfg := quick(overUDP(t, nil))
	cfg.User, cfg.Password = user, password
	wantLegs(t, walk(t, cfg), "resolve stun allocate peer data")
	cfg.Password = "pass-2"
	r := walk(t, cfg)
	wantLegs(t, r, "resolve stun allocate!")
	// pion/turn answers 400 where RFC 8489 wants 401.
	wantCause(t, r, 400, "no relay")
}

func TestNoCredential(t *testing.T) {
	cfg := quick(overUDP(t, nil))
	cfg.Secret = ""
	r := walk(t, cfg)
	wantLegs(t, r, "resolve stun allocate?")
	wantCause(t, r, 0, realm, "--secret")
	if _, failed := r.Failed(); failed {
		t.Error("a server that wants a credential is taken for one that failed")
	}
}

func TestUnauthorized(t *testing.T) {
	url := refusing(t, stun.CodeUnauthorized)
	r := walk(t, quick(url))
	wantLegs(t, r, "resolve stun allocate!")
	wantCause(t, r, 401, "does not know this secret", "secrets.turn")
	cfg := quick(url)
	cfg.User, cfg.Password = "user-2", "x"
	wantCause(t, walk(t, cfg), 401, `"user-2"`, "turn.users")
}

// A server whose clock is an hour ahead takes only the credential of a day.
func TestClocksDiffer(t *testing.T) {
	url := answering(t, func(m *stun.Message) []stun.Setter {
		var name stun.Username
		if m.Type == stun.BindingRequest {
			return []stun.Setter{stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 1}}
		}
		expires, _, _ := strings.Cut(nameOf(m, &name), ":")
		if expires < stamp(time.Now().Add(time.Hour)) {
			return []stun.Setter{
				stun.NewType(m.Type.Method, stun.ClassErrorResponse), stun.CodeUnauthorized, stun.NewRealm(realm), stun.NewNonce("n"),
			}
		}
		return []stun.Setter{stun.NewType(m.Type.Method, stun.ClassSuccessResponse), relayed(netip.MustParseAddrPort("192.0.2.1:9"))}
	})
	r := walk(t, quick(url))
	wantLegs(t, r, "resolve stun allocate!")
	wantCause(t, r, 401, "clocks differ", "timedatectl")
}

func TestAllocateRefused(t *testing.T) {
	alternate := &stun.AlternateServer{IP: net.IPv4(192, 0, 2, 9), Port: 3479}
	tests := []struct {
		code stun.ErrorCode
		more []stun.Setter
		want string
	}{
		{stun.CodeTryAlternate, []stun.Setter{alternate}, "192.0.2.9:3479"},
		{stun.CodeBadRequest, nil, "RFC 8656"},
		{stun.CodeForbidden, nil, "rules"},
		{stun.CodeAllocMismatch, nil, "again"},
		{stun.CodeAddrFamilyNotSupported, nil, "turn.relayAddress"},
		{stun.CodeUnsupportedTransProto, nil, "UDP"},
		{stun.CodeAllocQuotaReached, nil, "turn.maxPerUser"},
		{stun.CodeInsufficientCapacity, nil, "draining"},
		{stun.CodeStaleNonce, []stun.Setter{stun.NewNonce("m"), stun.NewRealm(realm)}, "again"},
		{stun.CodeServerError, nil, "Reason 500"},
	}
	for _, tt := range tests {
		r := walk(t, quick(refusing(t, tt.code, tt.more...)))
		wantLegs(t, r, "resolve stun allocate!")
		wantCause(t, r, int(tt.code), tt.want)
	}
}

// coturn with --no-stun answers no Binding request.
func TestServerWithoutBinding(t *testing.T) {
	url := answering(t, func(m *stun.Message) []stun.Setter {
		if m.Type == stun.BindingRequest {
			return nil
		}
		return []stun.Setter{stun.NewType(m.Type.Method, stun.ClassErrorResponse), stun.CodeUnauthorized, stun.NewRealm(realm), stun.NewNonce("n")}
	})
	cfg := quick(url)
	cfg.Secret, cfg.Timeout = "", 2*time.Second
	wantLegs(t, walk(t, cfg), "resolve stun allocate?")
}

func TestOpenRelay(t *testing.T) {
	url := answering(t, func(m *stun.Message) []stun.Setter {
		return []stun.Setter{
			stun.NewType(m.Type.Method, stun.ClassSuccessResponse), relayed(netip.MustParseAddrPort("127.0.0.1:9")),
			&stun.XORMappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 1},
		}
	})
	cfg := quick(url)
	cfg.Timeout = 2 * time.Second
	r := walk(t, cfg)
	if len(r.Legs) < 3 || !strings.Contains(r.Legs[2].Found, "asks nobody for a credential") {
		t.Errorf("legs %+v", r.Legs)
	}
	wantLegs(t, r, "resolve stun allocate peer data!") // it relays nothing
}

func TestPeerRefused(t *testing.T) {
	url := overUDP(t, func(cfg *turn.ServerConfig) {
		cfg.PacketConnConfigs[0].PermissionHandler = func(net.Addr, net.IP) bool { return false }
	})
	cfg := quick(url)
	cfg.Timeout = time.Second
	r := walk(t, cfg)
	wantLegs(t, r, "resolve stun allocate peer!") // pion/turn drops such a request
	cfg.Worker = netip.MustParseAddrPort("127.0.0.1:9")
	wantLegs(t, walk(t, cfg), "resolve stun allocate peer!")
}

// A check that is cancelled ends at once, wherever it is.
func TestCancel(t *testing.T) {
	conn := listenUDP(t) // never answers
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	cfg := quick("turn:" + conn.LocalAddr().String())
	cfg.Timeout = time.Hour
	r, err := Run(ctx, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantLegs(t, r, "resolve stun!")
}

func TestConfigRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no URL", func(c *Config) { c.URL = "" }, "turn:host:port"},
		{"another scheme", func(c *Config) { c.URL = "https://x" }, "turn:host:port"},
		{"a STUN URL", func(c *Config) { c.URL = "stun:x:1" }, "do not relay"},
		{"port", func(c *Config) { c.URL = "turn:x:70000" }, "70000"},
		{"transport", func(c *Config) { c.URL = "turn:x:1?transport=sctp" }, "transport"},
		{"timeout", func(c *Config) { c.Timeout = -1 }, "timeout"},
		{"duration", func(c *Config) { c.Duration = time.Hour }, "duration"},
		{"bitrate", func(c *Config) { c.Bitrate = 1 }, "bitrate"},
		{"worker's bitrate", func(c *Config) { c.Worker, c.Bitrate = netip.MustParseAddrPort("1.2.3.4:5"), 10_000_000 }, "1000 packets"},
		{"a lonely password", func(c *Config) { c.Password = "x" }, "user"},
		{"worker's port", func(c *Config) { c.Worker = netip.MustParseAddrPort("1.2.3.4:0") }, "port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{URL: "turn:localhost"}
			tt.change(&cfg)
			if _, err := Run(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

func TestParseTarget(t *testing.T) {
	tests := []struct {
		url  string
		want target
	}{
		{"turn:a.example", target{"a.example", 3478, false, false}},
		{"turn:a.example:1?transport=tcp", target{"a.example", 1, true, false}},
		{"turns:a.example", target{"a.example", 5349, true, true}},
		{"turns:[::1]:2?transport=udp", target{"::1", 2, false, true}},
	}
	for _, tt := range tests {
		if got, err := parseTarget(tt.url); err != nil || got != tt.want {
			t.Errorf("%s is %+v, %v; want %+v", tt.url, got, err, tt.want)
		}
	}
}

func TestUnknownName(t *testing.T) {
	cfg := quick("turn:no-such-host.invalid:3478")
	r := walk(t, cfg)
	wantLegs(t, r, "resolve!")
	wantCause(t, r, 0, "no-such-host.invalid")
}

func TestBadCertificate(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	now := time.Now()
	tests := []struct {
		name, want string
		authority  *authority
		begin      time.Time
		change     func(*x509.Certificate)
	}{
		{"self-made", "self-made", nil, now, nil},
		{"expired", "expired", a, now.Add(-2 * time.Hour), nil},
		{"not yet", "good from", a, now.Add(2 * time.Hour), nil},
		{"for another host", "for elsewhere and not for 127.0.0.1", a, now, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"elsewhere"}, nil
		}},
		{"of an unknown authority", "does not trust", other, now, func(c *x509.Certificate) { c.Issuer.CommonName = "Other" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert := sign(t, tt.authority, tt.begin, tt.change)
			// A server each time: pion/turn's ends when a DTLS handshake fails.
			for legs, serve := range map[string]func() string{
				"resolve connect tls!": func() string { return over(t, listenTLS(t, cert), "turns", "tcp") },
				"resolve dtls!":        func() string { return over(t, listenDTLS(t, cert), "turns", "udp") },
			} {
				cfg := quick(serve())
				cfg.RootCAs = a.pool
				r := walk(t, cfg)
				wantLegs(t, r, legs)
				wantCause(t, r, 0, tt.want)
				cfg = quick(serve())
				cfg.Insecure = true
				if _, failed := walk(t, cfg).Failed(); failed {
					t.Errorf("%s: --insecure does not take it", legs)
				}
			}
		})
	}
}

func nameOf(m *stun.Message, name *stun.Username) string {
	if err := name.GetFrom(m); errors.Is(err, stun.ErrAttributeNotFound) {
		return "0:"
	}
	return name.String()
}
