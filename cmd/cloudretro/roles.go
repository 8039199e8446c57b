package main

import (
	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/web"
)

// addCoordinator binds the page's port.
func (h *house) addCoordinator() error {
	server := h.cfg.Coordinator.Server
	cfg := coordinator.Config{
		Address:       server.Address,
		Web:           web.Files(),
		Secret:        h.cfg.Secrets.Worker,
		TURNSecrets:   h.cfg.Secrets.Turn,
		ICEServers:    iceServers(h.cfg.WebRTC.ICEServers),
		CredentialTTL: h.cfg.Turn.CredentialTTL,
		Origins:       h.cfg.Coordinator.Origins,
		Logger:        h.log.With("role", "coordinator"),
	}
	if server.HTTPS {
		cfg.CertFile, cfg.KeyFile = server.TLS.HTTPSCert, server.TLS.HTTPSKey
	}
	c, err := coordinator.New(cfg)
	if err != nil {
		return explain(err, "coordinator.server.address", server.Address, "tcp")
	}
	h.add("coordinator", c.Run, c.Close)
	h.reloads = append(h.reloads, func(next config.Config) error { return c.SetTURNSecrets(turnSecrets(next)) })
	h.page = pageURL(c.Addr(), server.HTTPS)
	return nil
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
