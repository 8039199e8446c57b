package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/turn/v2"

	gate "github.com/cloudretro/cloudretro/turn"
)

// freePort is a port of loopback that nobody has a moment later either.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// turnClient is a client of a gate with a static user.
func turnClient(t *testing.T, address, username, password string) *turn.Client {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: address, STUNServerAddr: address, Conn: conn, Username: username, Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); conn.Close() })
	return c
}

// awaitText waits until GET address/path answers with a text.
func awaitText(t *testing.T, address, path, text string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		response, err := client.Get("http://" + address + path)
		if err != nil {
			got = err.Error()
			continue
		}
		body := new(strings.Builder)
		_ = response.Write(body)
		response.Body.Close()
		if got = body.String(); strings.Contains(got, text) {
			return
		}
	}
	t.Fatalf("%s does not say %q but %s", path, text, got)
}

// A gate that is told to end stays, ready, until its last relay has gone; on
// SIGHUP it takes other credentials.
func TestGateDrainsAndReloads(t *testing.T) {
	address, ops := freePort(t), freePort(t)
	file := t.TempDir() + "/config.yaml"
	write := func(password string) {
		t.Helper()
		text := fmt.Sprintf("turn: {users: [{username: user-1, password: %s}]}\n", password)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("pass-1")
	p := startProcess(t, "--role=turn", "--config", file, "--set", "secrets.turn=0123456789abcdef0,0123456789abcdef1", "--set", "ops.address="+ops,
		"--set", "turn.drainGrace=1m", "--set", "turn.listeners=[{protocol: udp, address: '"+address+"'}]")
	relayed, err := turnClient(t, address, "user-1", "pass-1").Allocate()
	if err != nil {
		t.Fatal(err)
	}
	write("pass-2")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new configuration", func() bool { return strings.Contains(p.log(), "configuration taken") })
	second, err := turnClient(t, address, "user-1", "pass-2").Allocate()
	if err != nil {
		t.Fatalf("the new password: %v\n%s", err, p.log())
	}
	if r, err := turnClient(t, address, "user-1", "pass-1").Allocate(); err == nil {
		r.Close()
		t.Error("the old password opens a relay")
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitText(t, ops, "/metrics", "\ncloudretro_turn_draining 1\n")
	awaitText(t, ops, "/readyz", "200 OK")
	awaitText(t, ops, "/metrics", `cloudretro_turn_allocations{listener="`+address+`",protocol="udp"} 2`)
	if r, err := turnClient(t, address, "user-1", "pass-2").Allocate(); err == nil {
		r.Close()
		t.Error("a draining gate opens a relay")
	}
	relayed.Close()
	second.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, p.log())
	}
	if !strings.Contains(p.log(), "turn has drained") {
		t.Errorf("not drained:\n%s", p.log())
	}
}

func TestGateConfigOfListeners(t *testing.T) {
	cfg, err := gateConfig(defaults(t, "secrets.turn=0123456789abcdef0,0123456789abcdef1", "turn.tls.cert=/c", "turn.tls.key=/k",
		"turn.users=[{username: user-1, password: pass-1}]", "turn.maxBandwidth=0", "turn.relayAddress=192.0.2.7,2001:db8::7",
		"turn.listeners=[{protocol: udp, address: ':1'}, {protocol: tls, address: ':2'}, {protocol: dtls, address: ':3'}]"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Listeners[0].CertFile != "" || cfg.Listeners[1].CertFile != "/c" || cfg.Listeners[2].KeyFile != "/k" {
		t.Errorf("listeners %+v", cfg.Listeners)
	}
	if len(cfg.Secrets) != 2 || len(cfg.Users) != 1 || cfg.Users[0] != (gate.User{Name: "user-1", Password: "pass-1"}) {
		t.Errorf("secrets of %d, users %+v", len(cfg.Secrets), cfg.Users)
	}
	if len(cfg.RelayAddresses) != 2 || cfg.MaxBandwidth != 0 || cfg.DrainGrace != 30*time.Second || cfg.MaxPerAddress != 1024 {
		t.Errorf("configuration %+v", cfg)
	}
}

// With a worker in the same process there is nothing to wait for, and what
// operators ask is answered to the end.
func TestGateInAHouse(t *testing.T) {
	set := []string{
		"secrets.worker=0123456789abcdef0", "turn.listeners=[{protocol: tcp, address: '127.0.0.1:0'}]", "ops.address=127.0.0.1:0",
		"coordinator.server.address=127.0.0.1:0",
	}
	h, err := build(t.Context(), defaults(t, set...), roles{coordinator: true, turn: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if h.parts[0].name != "ops" || h.patience() != patience+30*time.Second || len(h.reloads) != 2 {
		t.Errorf("parts %+v, patience %v, %d take a new configuration", h.parts, h.patience(), len(h.reloads))
	}
	alone := &house{cfg: defaults(t, set...), log: slog.New(slog.DiscardHandler), roles: roles{worker: true, turn: true}}
	if err := alone.addGate(); err != nil {
		t.Fatal(err)
	}
	defer alone.close()
	if alone.patience() != patience {
		t.Errorf("waits %v beside a worker", alone.patience())
	}
	registry, err := newRegistry(alone.metrics)
	if err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]int{}
	for _, f := range families {
		labels[f.GetName()] = len(f.GetMetric())
	}
	for name, n := range map[string]int{
		"cloudretro_turn_peers": 1, "cloudretro_turn_allocations": 1, "cloudretro_turn_refused_total": int(gate.Refusals) - 1,
		"cloudretro_turn_dropped_total": 7, "cloudretro_turn_packets_total": 2, "cloudretro_turn_bytes_total": 2,
		"cloudretro_turn_sends_total": 2, "cloudretro_turn_gso": 1, "cloudretro_turn_overflow_total": 1,
	} {
		if labels[name] != n {
			t.Errorf("%s has %d values, want %d", name, labels[name], n)
		}
	}
}
