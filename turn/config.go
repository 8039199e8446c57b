package turn

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Config is what a Gate needs. It is copied by New and may be reused.
type Config struct {
	// Listeners to serve; 1 to signal.MaxURLs.
	Listeners []Listener
	// PublicAddress is the host name or IP that browsers reach the listeners by;
	// "" means the name by which the browser found the coordinator.
	PublicAddress string
	// RelayAddresses are announced for relayed sockets, at most one of each
	// family; without one it is the address of this machine on the way to the
	// client.
	RelayAddresses []netip.Addr
	// Realm of the TURN long-term credentials; "" means "cloudretro".
	Realm string
	// Secrets that credentials of clients may be minted with, the newest first;
	// at least one, unless there are Users and no Coordinators. The gate proves
	// itself to coordinators with one of them. See also Gate.Reconfigure.
	Secrets []string
	// Users are static users besides them.
	Users []User
	// Peers may be relayed to besides the workers that sources list.
	Peers []Peer
	// Network is the service network of the cluster that the gate is in, which
	// Peers open only where they name one address of it; nil in none.
	Network Network
	// Coordinators to join, each as signal.URL takes it ("host:port" or a URL). A
	// name may stand for several; all are joined.
	Coordinators []string
	// Sources list workers besides the coordinators.
	Sources []Source
	// MaxAllocations bounds all allocations; 0 means 4096.
	MaxAllocations int
	// MaxPerUser bounds the allocations of one minted credential; 0 means 12.
	// A static user may be many people and has no such bound.
	MaxPerUser int
	// MaxPerAddress bounds the allocations of one client's IPv4 address or IPv6
	// network of 64 bits; 0 means no bound.
	MaxPerAddress int
	// MaxBandwidth bounds what one allocation relays, both directions together,
	// in bits of payload per second; 0 means no bound.
	MaxBandwidth int64
	// Sockets is the number of sockets that share the port of a UDP listener,
	// each with a reader thread; 0 means one for each processor, at most 8.
	Sockets int
	// DrainGrace is how long Run waits, when it is told to end, for open
	// allocations to end by themselves; 0 means not at all.
	DrainGrace time.Duration
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

const (
	defaultRealm          = "cloudretro"
	defaultMaxAllocations = 4096
	defaultMaxPerUser     = 12
)

// complete fills in defaults and refuses what cannot work.
func (cfg *Config) complete() error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Realm == "" {
		cfg.Realm = defaultRealm
	}
	if cfg.MaxAllocations == 0 {
		cfg.MaxAllocations = defaultMaxAllocations
	}
	if cfg.MaxPerUser == 0 {
		cfg.MaxPerUser = defaultMaxPerUser
	}
	if len(cfg.Listeners) == 0 || len(cfg.Listeners) > signal.MaxURLs {
		return fmt.Errorf("turn.listeners has %d entries; give 1 to %d", len(cfg.Listeners), signal.MaxURLs)
	}
	for _, l := range cfg.Listeners {
		if err := l.validate(); err != nil {
			return err
		}
	}
	if err := cfg.credentials().validate(len(cfg.Coordinators) > 0); err != nil {
		return err
	}
	if cfg.PublicAddress != "" && !signal.ValidHost(cfg.PublicAddress) {
		return fmt.Errorf("public address %q is neither a host name nor an IP address", cfg.PublicAddress)
	}
	if err := cfg.checkBandwidth(); err != nil {
		return err
	}
	return cfg.completeRelay()
}

func (cfg *Config) checkBandwidth() error {
	if cfg.MaxBandwidth < 0 || cfg.MaxBandwidth > 0 && cfg.MaxBandwidth < minBandwidth {
		return fmt.Errorf("a bandwidth of %d bit/s carries no game; give %d or more, or 0 for no bound", cfg.MaxBandwidth, minBandwidth)
	}
	return nil
}

func (cfg *Config) credentials() Credentials { return Credentials{cfg.Secrets, cfg.Users} }

// minBandwidth is less than any game needs, in bit/s.
const minBandwidth = 100_000

// completeRelay checks the addresses of relayed sockets.
func (cfg *Config) completeRelay() error {
	seen := map[bool]bool{} // by whether it is IPv6
	addrs := make([]netip.Addr, 0, len(cfg.RelayAddresses))
	for _, a := range cfg.RelayAddresses {
		a = a.Unmap()
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
			return fmt.Errorf("relay address %s is not that of one host", a)
		}
		if seen[a.Is6()] {
			return errors.New("more than one relay address of a family; give at most one IPv4 and one IPv6 address")
		}
		seen[a.Is6()] = true
		addrs = append(addrs, a)
	}
	cfg.RelayAddresses = addrs
	return nil
}
