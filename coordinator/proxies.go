package coordinator

import (
	"fmt"
	"net/http"
	"net/netip"
)

// proxies are the networks of proxies that are believed what they say of their
// clients.
type proxies []netip.Prefix

// privateNetworks are the proxies by default: this machine, and addresses that
// no stranger comes from (RFC 1918, RFC 4193).
func privateNetworks() []string {
	return []string{"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}
}

// newProxies reads a list of networks and addresses; nil means privateNetworks.
func newProxies(list []string) (proxies, error) {
	if list == nil {
		list = privateNetworks()
	}
	p := proxies{}
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if ip, single := netip.ParseAddr(text); err != nil && single == nil && ip.Zone() == "" {
			network, err = ip.Prefix(ip.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("trusted proxy %q: want a network like 10.0.0.0/8, or an address", text)
		}
		p = append(p, network.Masked())
	}
	return p, nil
}

// believes says whether the word of who has connected is taken.
func (p proxies) believes(remote string) bool {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	ip := from.Addr().Unmap().WithZone("")
	for _, network := range p {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// only takes the headers in which proxies name their clients away from all but
// them; what stands behind it may believe those that are left.
func (p proxies) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !p.believes(r.RemoteAddr) {
			r.Header.Del("X-Forwarded-For")
			r.Header.Del("X-Forwarded-Proto")
		}
		next.ServeHTTP(rw, r)
	})
}
