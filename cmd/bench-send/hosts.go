package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// hosts are two network namespaces joined by a veth pair.
type hosts struct {
	sender, receiver string // names
}

// Addresses of the pair (RFC 2544: for benchmarks).
const (
	senderIP   = "198.18.0.1"
	receiverIP = "198.18.0.2"
)

// newHosts makes them; it needs root. They must be closed in any case, or they
// stay until the machine starts again.
func newHosts(ctx context.Context) (*hosts, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root may make network namespaces")
	}
	name := fmt.Sprintf("bench-send-%d", os.Getpid())
	h := &hosts{sender: name + "-a", receiver: name + "-b"}
	for _, line := range []string{
		"netns add " + h.sender,
		"netns add " + h.receiver,
		"-n " + h.sender + " link set lo up",
		"-n " + h.receiver + " link set lo up",
		"-n " + h.sender + " link add veth0 type veth peer name veth1 netns " + h.receiver,
		"-n " + h.sender + " addr add " + senderIP + "/30 dev veth0",
		"-n " + h.receiver + " addr add " + receiverIP + "/30 dev veth1",
		"-n " + h.sender + " link set veth0 up",
		"-n " + h.receiver + " link set veth1 up",
	} {
		if err := ip(ctx, line); err != nil {
			h.Close()
			return nil, err
		}
	}
	return h, nil
}

// ip runs the command of that name.
func ip(ctx context.Context, line string) error {
	out, err := exec.CommandContext(ctx, "ip", strings.Fields(line)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// segment lets super-packets of up to n segments pass the device; 1 makes the
// kernel cut them up before it, as for a card without segmentation of UDP.
func (h *hosts) segment(ctx context.Context, n int) error {
	return ip(ctx, fmt.Sprintf("-n %s link set veth0 gso_max_segs %d", h.sender, n))
}

// inside are the words that run a command in a namespace.
func inside(name string) []string { return []string{"ip", "netns", "exec", name} }

// Close removes the namespaces, and with them the pair. It works after the
// benchmark was interrupted, too.
func (h *hosts) Close() {
	for _, name := range []string{h.sender, h.receiver} {
		_ = ip(context.Background(), "netns del "+name)
	}
}
