package main

import (
	"net"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// defaults is the default configuration with some keys set.
func defaults(t *testing.T, set ...string) config.Config {
	t.Helper()
	cfg, err := config.Load(config.Sources{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestPageURL(t *testing.T) {
	tests := []struct {
		addr  net.TCPAddr
		https bool
		want  string
	}{
		{net.TCPAddr{IP: net.IPv6unspecified, Port: 8000}, false, "http://localhost:8000"},
		{net.TCPAddr{IP: net.IPv4zero, Port: 80}, false, "http://localhost"},
		{net.TCPAddr{IP: net.IPv4zero, Port: 443}, true, "https://localhost"},
		{net.TCPAddr{IP: net.IPv4zero, Port: 80}, true, "https://localhost:80"},
		{net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8000}, false, "http://192.0.2.1:8000"},
		{net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 8000}, false, "http://[2001:db8::1]:8000"},
	}
	for _, tt := range tests {
		if got := pageURL(&tt.addr, tt.https); got != tt.want {
			t.Errorf("pageURL(%v, %v) = %q, want %q", &tt.addr, tt.https, got, tt.want)
		}
	}
}

func TestOwnURL(t *testing.T) {
	for want, addr := range map[string]net.TCPAddr{
		"http://127.0.0.1:8000":     {IP: net.IPv6unspecified, Port: 8000},
		"http://127.0.0.1:80":       {IP: net.IPv4zero, Port: 80},
		"http://192.0.2.1:8000":     {IP: net.IPv4(192, 0, 2, 1), Port: 8000},
		"http://[2001:db8::1]:8000": {IP: net.ParseIP("2001:db8::1"), Port: 8000},
	} {
		if got := ownURL(&addr); got != want {
			t.Errorf("ownURL(%v) = %q, want %q", &addr, got, want)
		}
	}
}

func TestCoordinators(t *testing.T) {
	tests := []struct {
		name, page string
		configured []string
		want       string
	}{
		{"own one by default", "http://localhost:8001", []string{"localhost:8000"}, "http://localhost:8001"},
		{"own one for nobody", "http://localhost:8001", nil, "http://localhost:8001"},
		{"another by choice", "http://localhost:8001", []string{"c:1", "d:1"}, "c:1,d:1"},
		{"none of our own", "", []string{"localhost:8000"}, "localhost:8000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &house{page: tt.page, local: tt.page}
			if got := strings.Join(h.coordinators(tt.configured), ","); got != tt.want {
				t.Errorf("coordinators = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	const secret = "0123456789abcdef0"
	tests := []struct {
		name  string
		roles roles
		set   []string
		want  string // "" = an error, "random", or the secret
	}{
		{"all in one", everyRole(), nil, "random"},
		{"all in one, set", everyRole(), []string{"secrets.worker=" + secret}, secret},
		{"coordinator alone", roles{coordinator: true}, nil, ""},
		{"worker alone", roles{worker: true}, nil, ""},
		{"worker alone, only the other secret", roles{worker: true}, []string{"secrets.turn=" + secret}, ""},
		{"worker alone, set", roles{worker: true}, []string{"secrets.worker=" + secret}, secret},
		{"turn alone", roles{turn: true}, nil, ""},
		{"two of three", roles{coordinator: true, worker: true}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := withSecrets(t.Context(), defaults(t, tt.set...), tt.roles, nil)
			got := cfg.Secrets.Worker
			switch {
			case tt.want == "" && err == nil:
				t.Error("no error without a secret")
			case tt.want != "" && err != nil:
				t.Error(err)
			case tt.want == "random" && len(got) != 64, tt.want == secret && got != secret:
				t.Errorf("secret %q, want %s", got, tt.want)
			}
		})
	}
	t.Run("turn alone with its own", func(t *testing.T) {
		if _, err := withSecrets(t.Context(), defaults(t, "secrets.turn="+secret), roles{turn: true}, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("two processes get two secrets", func(t *testing.T) {
		a, _ := withSecrets(t.Context(), defaults(t), everyRole(), nil)
		b, _ := withSecrets(t.Context(), defaults(t), everyRole(), nil)
		if a.Secrets.Worker == b.Secrets.Worker {
			t.Error("the random secret is not random")
		}
	})
}

func TestGateConfig(t *testing.T) {
	cfg, err := gateConfig(defaults(t, "secrets.worker=0123456789abcdef0", "turn.peers=10.0.0.0/8:8443,192.0.2.1", "turn.relayAddress=192.0.2.7"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Peers) != 2 || len(cfg.RelayAddresses) != 1 || cfg.RelayAddresses[0].String() != "192.0.2.7" || cfg.MaxPerUser != 12 || len(cfg.Listeners) != 2 {
		t.Errorf("gate configuration %+v", cfg)
	}
	if len(cfg.Secrets) != 1 || cfg.Secrets[0] == "" || cfg.Secrets[0] == "0123456789abcdef0" {
		t.Error("the TURN secret is not derived from the workers'")
	}
	if _, err := gateConfig(defaults(t, "turn.peers=nonsense")); err == nil || !strings.Contains(err.Error(), "turn.peers.0") {
		t.Errorf("error %v does not name turn.peers.0", err)
	}
}

func TestExplain(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	_, busy := net.Listen("tcp", address)
	_, foreign := net.Listen("tcp", "192.0.2.1:0")
	tests := []struct {
		name string
		err  error
		want []string
	}{
		{"in use", busy, []string{"ops.address", address, "already in use", "another program listens there", "CLOUDRETRO_OPS_ADDRESS"}},
		{"not ours", foreign, []string{"ops.address", "no such address", "ip address"}},
		{"another", net.ErrClosed, []string{"closed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := explain(tt.err, "ops.address", address, "tcp").Error()
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not say %q", text, want)
				}
			}
		})
	}
	if explain(nil, "a", "b", "tcp") != nil {
		t.Error("explain makes an error out of nothing")
	}
}

func TestWelcome(t *testing.T) {
	if got := (&house{page: "http://localhost:8000", greeting: []string{"x"}}).welcome(); got != "CloudRetro plays at http://localhost:8000\n" {
		t.Errorf("welcome %q", got)
	}
	inCluster := &house{page: "http://localhost:8000", cluster: &cluster.Cluster{Namespace: "arcade"}}
	inCluster.cfg.Kubernetes.CoordinatorService = "coordinator"
	if got := inCluster.welcome(); got != "CloudRetro serves the page of Service coordinator in namespace arcade\n" {
		t.Errorf("in a pod: %q", got)
	}
	if got := (&house{greeting: []string{"worker a", "turn b"}}).welcome(); got != "CloudRetro worker a; turn b\n" {
		t.Errorf("welcome %q", got)
	}
}
