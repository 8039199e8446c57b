//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/pion/stun"
	pion "github.com/pion/turn/v2"

	"github.com/cloudretro/cloudretro/turn"
	"github.com/cloudretro/cloudretro/turn/credential"
)

const (
	nameOurs   = "cloudretro"
	nameCoturn = "coturn"
	namePion   = "pion/turn v2"
	addrOurs   = "127.0.0.1:3481"
	addrPion   = "127.0.0.1:3483"

	realm    = "bench"
	secret   = "a secret of the benchmark alone"
	username = "bench"
	password = "bench"
)

// server is one TURN server under test, as a process.
type server struct {
	name string
	addr string // on loopback
	user string
	pass string
	cmd  *exec.Cmd
}

// startServers starts ours, coturn and pion/turn, pinned to processor 0.
// Without coturn it says so and goes on.
func startServers(ctx context.Context) ([]*server, error) {
	user, pass, err := credential.Mint(secret, "bench", 24*time.Hour, time.Now())
	if err != nil {
		return nil, err
	}
	servers := []*server{
		{name: nameOurs, addr: addrOurs, user: user, pass: pass},
		{name: nameCoturn, addr: "127.0.0.1:3482", user: username, pass: password},
		{name: namePion, addr: addrPion, user: username, pass: password},
	}
	var started []*server
	for _, s := range servers {
		err := s.start(ctx)
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintf(os.Stderr, "bench-turn: NOT COMPARED with %s: %v; deploy/packages.sh bench installs it\n", s.name, err)
			continue
		}
		if err != nil {
			return started, fmt.Errorf("start %s: %w", s.name, err)
		}
		started = append(started, s)
	}
	return started, nil
}

func (s *server) start(ctx context.Context) error {
	var err error
	if s.name == nameCoturn {
		err = s.coturn(ctx)
	} else {
		s.cmd, err = again(ctx, s.name)
	}
	if err != nil {
		return err
	}
	if err := startPinned(s.cmd, serverCPU); err != nil {
		return err
	}
	return s.ready(ctx)
}

// coturn is Debian's, on one relay thread for its one processor.
func (s *server) coturn(ctx context.Context) error {
	path, err := exec.LookPath("turnserver")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return fmt.Errorf("split address: %w", err)
	}
	s.cmd = exec.CommandContext(ctx, path, "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1",
		"--listening-port="+port, "--lt-cred-mech", "--user="+username+":"+password, "--realm="+realm,
		"--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli", "--relay-threads=1",
		"--no-stdout-log", "--log-file=/dev/null", "--pidfile=/dev/null", "--min-port=20000", "--max-port=39999")
	prepare(s.cmd)
	s.cmd.Stderr = nil // it greets at length
	return nil
}

// ready waits until the server answers.
func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		a, err := dial(s)
		if err == nil {
			_, err = a.ask(stun.TransactionID, stun.BindingRequest)
			a.close()
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no answer: %w", err)
		}
	}
}

// stop ends the process and waits for it.
func (s *server) stop() {
	_ = s.cmd.Cancel()
	kill := time.AfterFunc(30*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	_ = s.cmd.Wait()
}

// serve is a server as a child process.
func serve(ctx context.Context, name string) error {
	switch name {
	case nameOurs:
		return serveOurs(ctx, addrOurs)
	case namePion:
		return servePion(ctx, addrPion)
	}
	return fmt.Errorf("there is no role %s", strconv.Quote(name))
}

func serveOurs(ctx context.Context, addr string) error {
	peer, err := turn.ParsePeer("127.0.0.1")
	if err != nil {
		return err
	}
	g, err := turn.New(turn.Config{
		Listeners:      []turn.Listener{{Protocol: turn.UDP, Address: addr}},
		RelayAddresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Realm:          realm,
		Secrets:        []string{secret},
		Peers:          []turn.Peer{peer},
		MaxPerUser:     4096,
		Logger:         slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	return g.Run(ctx)
}

func servePion(ctx context.Context, addr string) error {
	conn, err := net.ListenPacket("udp4", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	key := pion.GenerateAuthKey(username, realm, password)
	s, err := pion.NewServer(pion.ServerConfig{
		Realm:       realm,
		AuthHandler: func(user, _ string, _ net.Addr) ([]byte, bool) { return key, user == username },
		PacketConnConfigs: []pion.PacketConnConfig{{PacketConn: conn, RelayAddressGenerator: &pion.RelayAddressGeneratorStatic{
			RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1",
		}}},
	})
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	<-ctx.Done()
	if err := s.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
