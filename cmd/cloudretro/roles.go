package main

import (
	"errors"
	"net"
	"strconv"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator"
	"github.com/cloudretro/cloudretro/coordinator/acme"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/signin"
	"github.com/cloudretro/cloudretro/web"
)

// addCoordinator binds the page's port.
func (h *house) addCoordinator() error {
	server := h.cfg.Coordinator.Server
	cfg := h.doorConfig(h.cfg)
	cfg.Local = server.HTTPS && (h.roles.worker || h.roles.turn)
	cfg.Web, cfg.Logger = web.Files(), h.log.With("role", "coordinator")
	cfg.Starting = h.cluster != nil
	if h.cluster != nil && h.cfg.Kubernetes.TurnService != "" {
		cfg.Relays = h.turnService()
	}
	if h.cluster != nil && h.cfg.Kubernetes.Token.Audience != "" {
		tokens, err := h.tokens()
		if err != nil {
			return err
		}
		cfg.Tokens = tokens
	}
	key := "coordinator.server.address"
	if server.HTTPS {
		cfg.TLS = doorTLS(server.TLS)
	}
	if server.HTTPS && server.TLS.Address != "" {
		key, cfg.Address, cfg.TLS.RedirectAddress = "coordinator.server.tls.address", server.TLS.Address, server.Address
	}
	c, err := coordinator.New(cfg)
	var plain coordinator.RedirectError
	switch {
	case errors.As(err, &plain):
		return explain(err, "coordinator.server.address", cfg.TLS.RedirectAddress, "tcp")
	case err != nil:
		return explain(err, key, cfg.Address, "tcp")
	}
	h.add("coordinator", c.Run, c.Close)
	h.checks = append(h.checks, check{"coordinator", c.Ready})
	h.live("coordinator", c.Alive, func() []any { return []any{"pages", c.Stats().Pages} })
	h.metrics = append(h.metrics, certificateMetrics("coordinator", c.Certificates), connectionMetrics(c), coordinatorMetrics(c))
	h.addScaler(c)
	h.reloads = append(h.reloads, func(next config.Config) error { return c.Reconfigure(h.doorConfig(next)) })
	h.page, h.local = pageURL(c.Addr(), server.HTTPS), ownURL(c.Addr())
	if cfg.Local {
		h.local = ownURL(c.LocalAddr())
	}
	if name := server.TLS.Name(); server.HTTPS && name != "" {
		h.page = "https://" + name + portOf(c.Addr(), server.TLS.RedirectPort)
	}
	return nil
}

// doorConfig is what of cfg the coordinator of this process takes, but for TLS.
func (h *house) doorConfig(cfg config.Config) coordinator.Config {
	if h.roles.worker {
		cfg.Coordinator.Server.DrainGrace = 0 // nobody can play here any more
	}
	return doorConfig(cfg)
}

// doorConfig is what of cfg a coordinator takes, but for TLS.
func doorConfig(cfg config.Config) coordinator.Config {
	c := cfg.Coordinator
	return coordinator.Config{
		Address:        c.Server.Address,
		Secret:         cfg.Secrets.Worker,
		TURNSecrets:    cfg.Secrets.Turn,
		SessionSecret:  cfg.Secrets.Session,
		ICEServers:     iceServers(cfg.WebRTC.ICEServers),
		CredentialTTL:  cfg.Turn.CredentialTTL,
		Origins:        c.Origins,
		Alternates:     c.Alternates,
		TrustedProxies: append([]string{}, c.TrustedProxies...), // an empty list is nobody, none at all would be the default
		SignIn:         signIn(c.SignIn),
		Limits:         limits(c.Limits),
		DrainGrace:     c.Server.DrainGrace,
		AccessLog:      cfg.Log.Access,
	}
}

// doorTLS is how the coordinator serves HTTPS, but for the addresses.
func doorTLS(t config.TLS) coordinator.TLS {
	return coordinator.TLS{
		CertFile: t.HTTPSCert, KeyFile: t.HTTPSKey, RedirectPort: t.RedirectPort, HSTS: t.HSTS,
		ACME: acme.Config{
			Domains: t.Issued(), Email: t.ACME.Email, CacheDir: t.ACME.CacheDir, DirectoryURL: t.ACME.DirectoryURL, CAFile: t.ACME.CAFile,
		},
	}
}

// signIn is who may come in.
func signIn(s config.SignIn) signin.Config {
	return signin.Config{
		Method: s.Method, Password: s.Password, AdminPassword: s.AdminPassword, TTL: s.SessionTTL,
		OIDC: signin.OIDC{
			Issuer: s.OIDC.Issuer, ClientID: s.OIDC.ClientID, ClientSecret: s.OIDC.ClientSecret, RedirectURL: s.OIDC.RedirectURL,
			Scopes: s.OIDC.Scopes, Name: s.OIDC.Name, Admins: s.OIDC.Admins, AdminClaim: s.OIDC.AdminClaim,
		},
	}
}

func limits(l config.Limits) coordinator.Limits {
	return coordinator.Limits{
		Pages: l.Pages, PagesPerAddress: l.PagesPerAddress, Roles: l.Workers,
		StartsPerMinute: l.StartsPerMinute, RequestsPerMinute: l.RequestsPerMinute,
	}
}

// portOf is ":port" of HTTPS as browsers see it, "" for the usual one.
func portOf(addr net.Addr, seen int) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && seen == 0 {
		seen = tcp.Port
	}
	if seen == 443 {
		return ""
	}
	return ":" + strconv.Itoa(seen)
}

func iceServers(servers []config.ICEServer) []signal.ICEServer {
	out := make([]signal.ICEServer, 0, len(servers))
	for _, s := range servers {
		out = append(out, signal.ICEServer(s))
	}
	return out
}

func orElse(list, other []string) []string {
	if len(list) > 0 {
		return list
	}
	return other
}
