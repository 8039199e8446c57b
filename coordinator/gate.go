package coordinator

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/credential"
)

// peersPause is the least time between two lists of peers to a gate, so that a
// thousand workers that join at once do not make a thousand lists of thousands.
const peersPause = 100 * time.Millisecond

// gateLink is the connection of one gate.
type gateLink struct {
	id       string
	urls     []string
	sock     *socket
	changed  chan struct{} // has room for one: the peers are not those that it was told
	draining bool          // opens no more relays; guarded by the registry's mutex
}

// tellPeers tells the gate the peers, now and whenever they changed, until its
// socket ends.
func (g *gateLink) tellPeers(peers func() []string) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	var told []string
	for {
		select {
		case <-g.changed:
		case <-g.sock.done:
			return
		}
		select {
		case <-pause.C:
		case <-g.sock.done:
			return
		}
		if now := peers(); told == nil || !slices.Equal(told, now) {
			told = now
			g.sock.send(encode(signal.TypePeers, "", "", signal.Peers{Addrs: now}))
		}
		pause.Reset(peersPause)
	}
}

// provesGate says whether a gate knows one of the secrets; all are tried
// whichever fits.
func (c *Coordinator) provesGate(nonce string, gate signal.Proof) bool {
	fits := false
	for _, secret := range c.now().turnSecrets {
		fits = signal.CheckMAC(secret, nonce, signal.RoleGate, gate.ID, gate.MAC) || fits
	}
	return fits
}

// serveGate is /ws/turn.
func (c *Coordinator) serveGate(rw http.ResponseWriter, r *http.Request) {
	c.serveRole(rw, r, func(nonce string, e signal.Envelope) (func(context.Context, *socket), error) {
		if e.Type != signal.TypeGate {
			return nil, signal.Errorf(signal.CodeBadRequest, "the first message here is %q, not %q", signal.TypeGate, e.Type)
		}
		proof, err := signal.Read[signal.Proof](e)
		if err != nil {
			return nil, err
		}
		if !c.provesGate(nonce, proof) {
			return nil, signal.Errorf(signal.CodeDenied,
				"the gate's secret is wrong: give turn and coordinator the same secrets.turn, or the same secrets.worker if that is empty")
		}
		gate, err := signal.Read[signal.Gate](e)
		if err != nil {
			return nil, err
		}
		return func(_ context.Context, sock *socket) { c.runGate(sock, gate) }, nil
	})
}

// runGate serves a gate that has proved itself until its socket ends.
func (c *Coordinator) runGate(sock *socket, gate signal.Gate) {
	g := &gateLink{id: gate.ID, urls: gate.URLs, sock: sock, changed: make(chan struct{}, 1)}
	log := c.log.With("gate", g.id)
	sock.send(encode(signal.TypeAccepted, "", "", nil))
	c.registry.addGate(g)
	var teller sync.WaitGroup
	teller.Go(func() { g.tellPeers(c.registry.peers) })
	log.Info("gate joined", "urls", signal.ShownURLs(g.urls))
	cause := c.hear(sock, log, func(e signal.Envelope) error {
		if e.Type != signal.TypeDrain { // it has nothing else to say after its proof
			return signal.Errorf(signal.CodeBadRequest, "a gate does not send %q", e.Type)
		}
		c.registry.drainGate(g)
		log.Info("gate drains")
		return nil
	})
	c.registry.removeGate(g)
	sock.cut(websocket.CloseNormalClosure, "")
	teller.Wait()
	log.Info("gate left", "cause", cause)
}

// iceServers are what a browser that reached us as host is told: the gates, with
// credentials for its session, and those of the configuration.
func (c *Coordinator) iceServers(session, host string) []signal.ICEServer {
	servers := []signal.ICEServer{}
	for _, urls := range c.gateURLs() {
		urls = withHost(urls, host)
		username, password, err := credential.Mint(c.now().turnSecrets[0], session, c.now().credentialTTL, time.Now())
		if err != nil {
			c.log.Error("no TURN credential", "cause", err)
			break
		}
		if len(urls) > 0 && len(servers) < signal.MaxICEServers {
			servers = append(servers, signal.ICEServer{URLs: urls, Username: username, Credential: password})
		}
	}
	servers = append(servers, c.now().iceServers...)
	return servers[:min(len(servers), signal.MaxICEServers)]
}

// withHost puts host where a TURN URL has none; without a host such URLs are
// left out, and so is what is there already. "localhost" becomes an address, as
// browsers may take it for ::1 only, where a gate need not listen.
func withHost(urls []string, host string) []string {
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	var full []string
	for _, u := range urls {
		scheme, rest, _ := strings.Cut(u, ":")
		if strings.HasPrefix(rest, ":") {
			if host == "" {
				continue
			}
			rest = host + rest
		}
		if u = scheme + ":" + rest; !slices.Contains(full, u) {
			full = append(full, u)
		}
	}
	return full
}

// hostName is the name, without port, that a request's Host header says; "" if
// that is none.
func hostName(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	host = strings.ToLower(host)
	if !signal.ValidHost(host) {
		return ""
	}
	return host
}
