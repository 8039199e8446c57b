package config

import (
	"slices"
	"strings"
	"testing"
)

// Each is wrong for one reason, which is named with its key and what helps.
func TestHTTPSNeedsItsParts(t *testing.T) {
	const tls, files = "coordinator.server.tls", "coordinator.server.tls.httpsCert=/c,coordinator.server.tls.httpsKey=/k"
	for _, test := range []struct{ set, key, want string }{
		{"", "coordinator.server.https", ".domain"},
		{tls + ".httpsCert=/c", tls, "httpsKey"},
		{tls + ".httpsKey=/k," + tls + ".domain=a.example.org", tls, "httpsCert"},
		{files + "," + tls + ".acme.domains=a.example.org", tls + ".acme.domains", "one of them"},
		{tls + ".domain=a.example.org," + tls + ".acme.cacheDir=", tls + ".acme.cacheDir", "name a folder"},
		{files + ",coordinator.server.address=:80", tls + ".address", ":443"},
		{files + "," + tls + ".address=:8000", tls + ".address", "a port each"},
	} {
		set := append([]string{"coordinator.server.https=true"}, strings.FieldsFunc(test.set, func(r rune) bool { return r == ',' })...)
		ps := problems(t, Sources{Set: set})
		if len(ps) != 1 || ps[0].Key != test.key || !strings.Contains(ps[0].Text, test.want) {
			t.Errorf("%s: %v, want one of %s that says %q", test.set, ps, test.key, test.want)
		}
	}
}

func TestGoodHTTPS(t *testing.T) {
	const tls = "coordinator.server.tls"
	for _, set := range [][]string{
		{tls + ".httpsCert=/c", tls + ".httpsKey=/k"},
		{tls + ".httpsCert=/c", tls + ".httpsKey=/k", tls + ".domain=a.example.org", tls + ".hsts=8760h"},
		{tls + ".domain=a.example.org", "coordinator.server.address=:80", tls + ".address=:443"},
		{tls + ".acme.domains=a.example.org,b.example.org", tls + ".acme.email=me@example.org", tls + ".acme.caFile=/ca"},
		{tls + ".domain=a.example.org", "coordinator.server.address=127.0.0.1:0", tls + ".address=127.0.0.1:0", tls + ".redirectPort=443"},
	} {
		mustLoad(t, Sources{Set: append(set, "coordinator.server.https=true")})
	}
}

func TestIssued(t *testing.T) {
	for _, test := range []struct {
		tls  TLS
		want []string
		name string
	}{
		{TLS{}, nil, ""},
		{TLS{Domain: "a.b"}, []string{"a.b"}, "a.b"},
		{TLS{ACME: ACME{Domains: []string{"c.d"}}}, []string{"c.d"}, "c.d"},
		{TLS{Domain: "a.b", ACME: ACME{Domains: []string{"c.d"}}}, []string{"a.b", "c.d"}, "a.b"},
		{TLS{Domain: "a.b", HTTPSCert: "/c", HTTPSKey: "/k"}, nil, "a.b"},
	} {
		if got := test.tls.Name(); got != test.name {
			t.Errorf("%+v: name %q, want %q", test.tls, got, test.name)
		}
		if got := test.tls.Issued(); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v, want %v", test.tls, got, test.want)
		}
	}
}

func TestDomainsThatAreNone(t *testing.T) {
	for _, name := range []string{
		"localhost", "192.0.2.1", "2001:db8::1", "*.example.org", "a.example.org.", ".example.org", "a.example.org:443", "a b.example.org",
		"https://a.example.org", "a.example.org/x", strings.Repeat("a.", 130) + "org",
	} {
		ps := problems(t, Sources{Set: []string{"coordinator.server.tls.domain=" + name}})
		if len(ps) != 1 || ps[0].Key != "coordinator.server.tls.domain" {
			t.Errorf("%q: %v", name, ps)
		}
	}
}
