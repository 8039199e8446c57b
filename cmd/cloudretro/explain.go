package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// explained is an error in words for a user, in place of the text of its cause.
type explained struct {
	text  string
	cause error
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.cause }

// explain tells of an error of a listening socket by the key it comes from and
// what helps. Errors of another kind come back as they are.
func explain(err error, key, value, protocol string) error {
	text := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		text = fmt.Sprintf("%s %q: address already in use: another program listens there (ss -lnp %s shows which); stop it, or set another address: --set %s=... or %s=...",
			key, value, ssFlag(protocol), key, variableOf(key))
	case errors.Is(err, syscall.EACCES):
		text = fmt.Sprintf("%s %q: this user may not listen there; choose a port from 1024 up, or give the right: setcap cap_net_bind_service=+ep on the binary", key, value)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		text = fmt.Sprintf("%s %q: this machine has no such address (ip address shows those it has); leave the host out to listen on all", key, value)
	default:
		return err
	}
	return explained{text, err}
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
