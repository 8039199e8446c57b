package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/stun"
)

// target is a server's URL, taken apart.
type target struct {
	host   string // name or IP, without brackets
	port   uint16
	stream bool // TCP
	secure bool // TLS, or DTLS
}

// parseTarget reads a TURN URL (RFC 7065).
func parseTarget(text string) (target, error) {
	uri, err := stun.ParseURI(text)
	switch {
	case err != nil:
		return target{}, fmt.Errorf("URL %q: %w; want turn:host:port?transport=udp or tcp, or turns:host:port", text, err)
	case uri.Scheme != stun.SchemeTypeTURN && uri.Scheme != stun.SchemeTypeTURNS:
		return target{}, fmt.Errorf("URL %q: want turn: or turns:, %s: servers do not relay", text, uri.Scheme)
	case uri.Port < 1 || uri.Port > 65535:
		return target{}, fmt.Errorf("URL %q: port %d is not one of 1..65535", text, uri.Port)
	}
	return target{
		host: uri.Host, port: uint16(uri.Port),
		stream: uri.Proto == stun.ProtoTypeTCP, secure: uri.IsSecure(),
	}, nil
}

// transport is what carries the packets, in words.
func (t target) transport() string {
	if t.stream {
		return "TCP"
	}
	return "UDP"
}

// over is the URL of the same server over another transport.
func (t target) over(transport string) string {
	scheme := "turn:"
	if t.secure {
		scheme = "turns:"
	}
	return scheme + net.JoinHostPort(t.host, strconv.Itoa(int(t.port))) + "?transport=" + transport
}

// resolve finds the addresses of the server's name.
func (r *run) resolve(ctx context.Context) (string, error) {
	host := r.target.host
	if ip, err := netip.ParseAddr(host); err == nil {
		r.addrs = []netip.Addr{ip.Unmap()}
		return "the URL names an address", nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "", fault{cause: fmt.Sprintf("the name %s does not exist", host), remedy: "correct the URL, or the DNS record of that name"}
	case err != nil:
		return "", fault{
			cause:  fmt.Sprintf("no DNS server says what %s is: %v", host, err),
			remedy: "look at this machine's DNS (/etc/resolv.conf), or give an IP address in place of the name",
		}
	}
	words := make([]string, 0, len(found))
	for _, ip := range found {
		r.addrs = append(r.addrs, ip.Unmap())
		words = append(words, ip.Unmap().String())
	}
	return host + " is " + strings.Join(words, ", "), nil
}
