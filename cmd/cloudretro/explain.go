package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// explain adds to an error of a listening socket the key it comes from and
// what helps. Other errors come back as they are, with the key's section.
func explain(err error, key, value, protocol string) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s %q: address already in use: another program listens there (see it with: ss -lnp %s); stop it or set another address: --set %s=... or %s: %w",
			key, value, ssFlag(protocol), key, variableOf(key), err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s %q: this user may not listen there; choose a port from 1024 up or give the right (setcap cap_net_bind_service=+ep): %w", key, value, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s %q: this machine has no such address (see: ip address); leave the host out to listen on all: %w", key, value, err)
	}
	return err
}

func ssFlag(protocol string) string {
	if protocol == "udp" {
		return "-u"
	}
	return "-t"
}

// variableOf is the environment variable of a key.
func variableOf(key string) string {
	return "CLOUDRETRO_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}
