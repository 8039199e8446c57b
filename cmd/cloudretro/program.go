package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloudretro/cloudretro/config"
)

// Exit codes: 0 is a clean end.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text + " (cloudretro --help tells more)" }

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailed
}

// program is what a process has from outside.
type program struct {
	stdout, stderr io.Writer
	environ        []string // NAME=VALUE
	hangup         *hangup  // nil = never
}

const usage = `CloudRetro plays retro games in browsers.

Usage:
  cloudretro [flags]            run, until Ctrl-C or SIGTERM
  cloudretro config [flags]     print the effective configuration as YAML, secrets masked
  cloudretro config --defaults  print every key with its default and what it means
  cloudretro health [flags]     ask the one that runs with the same flags and environment, by
                                ops.address, whether it is ready; exit code 1 if not
  cloudretro check turn [flags] find out whether a TURN server relays, and if not, which leg
                                of the way fails, why, and what helps; exit code 1 then
  cloudretro check kubernetes [flags]  find out what an installation in a cluster lacks, why,
                                and what helps; exit code 1 if it lacks something
  cloudretro loadgen [flags]    load coordinators with simulated workers and browsers, and report
  cloudretro version            print the version

Flags:
  --role=ROLE,...     which of coordinator, worker and turn to run (default: all)
  --config FILE       YAML file laid over the defaults; may be given again
  --set KEY=VALUE     one key, laid over file and environment; may be given again
  -h, --help          this text

Flags of check turn:
  --url URL           turn:host:port?transport=udp or tcp, turns:... for DTLS and TLS
  --secret SECRET     one of secrets.turn (default: the configuration's)
  --user, --password  of a static user (turn.users), in place of the secret
  --worker IP:PORT    relay to the media port of a worker, not to this machine
  --ca FILE           PEM file of the authority that signed the server's certificate
  --insecure          take any certificate
  --timeout DURATION  of each leg (default 5s)
  --duration, --bitrate  of the data that is relayed (default 2s, 5000000 bit/s)
  --json              print the findings as JSON

Flags of check kubernetes:
  --kubeconfig FILE   which cluster (default: KUBECONFIG, ~/.kube/config, or that of the pod)
  --namespace NAME    of the installation (default: where there is one)
  --json              print the findings as JSON

Flags of loadgen:
  --coordinators HOST:PORT,...  that are loaded: workers join all, browsers spread over them
  --spawn N           start N coordinators on this machine instead (--cpu 0 pins each to core 0)
  --secret SECRET     secrets.worker (default: the configuration's)
  --workers N, --places N       simulated workers (default 0), and games at once of each (8)
  --total N           places of all simulated workers together, in place of --places
  --libraries N, --zones N      different libraries and zones among them (1, 0)
  --browsers N        browsers that are connected and idle
  --starts N, --rate N          browsers that come, start a game and leave, and how many a second
                      (default: all at once)
  --hold DURATION     how long they play, half of it more or less (2s)
  --game ID           that they start (default: the simulated workers')
  --media N           of the starts, how many with picture by WebRTC (0)
  --ramp DURATION     over which workers and idle browsers come (5s); then --calm passes (3s)
  --duration DURATION after which it ends in any case (5m, at most 1h)
  --pid PID, --ops HOST:PORT    of coordinators whose memory and CPU are reported; may be given again
  --name TEXT         of the case in the report
  --json              print the report as a line of JSON for each figure

Every key is also an environment variable: CLOUDRETRO_ and its path in capitals.
  cloudretro --set coordinator.server.address=:80
  CLOUDRETRO_COORDINATOR_SERVER_ADDRESS=:80 cloudretro
`

// arguments is a parsed command line.
type arguments struct {
	command  string // "", config, health, check, loadgen, version or help
	roles    roles
	files    []string
	set      []string
	defaults bool
	check    checkArguments
	cluster  clusterArguments
	load     loadArguments
}

// parse reads a command line; flags may stand before and after the command.
func parse(args []string) (arguments, error) {
	var a arguments
	var role string
	flags := flag.NewFlagSet("cloudretro", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&role, "role", "coordinator,worker,turn", "")
	flags.Func("config", "", appendTo(&a.files))
	flags.Func("set", "", appendTo(&a.set))
	flags.BoolVar(&a.defaults, "defaults", false, "")
	for {
		switch err := flags.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return arguments{command: "help"}, nil
		case err != nil:
			return a, usageError{err.Error()}
		}
		if flags.NArg() == 0 {
			break
		}
		if a.command != "" {
			return a, usageError{fmt.Sprintf("unexpected %q after %q", flags.Arg(0), a.command)}
		}
		a.command, args = flags.Arg(0), a.more(flags, flags.Args())
	}
	if !slices.Contains([]string{"", "config", "health", "check", "loadgen", "version", "help"}, a.command) {
		return a, usageError{fmt.Sprintf("unknown command %q; there are config, health, check turn, check kubernetes, loadgen, version and help", a.command)}
	}
	if a.command == "check" && !a.cluster.wanted {
		if err := a.check.complete(); err != nil {
			return a, err
		}
	}
	var err error
	a.roles, err = parseRoles(role)
	return a, err
}

// more adds the flags of a command, and answers the arguments that follow it.
func (a *arguments) more(flags *flag.FlagSet, args []string) []string {
	command, args := args[0], args[1:]
	switch command {
	case "loadgen":
		a.load.register(flags)
	case "check":
		what := ""
		if len(args) > 0 {
			what = args[0]
		}
		if what == "kubernetes" {
			a.cluster.register(flags)
			a.cluster.wanted = true
			return args[1:]
		}
		a.check.register(flags)
		if what == "turn" {
			a.check.turn = true
			return args[1:]
		}
	}
	return args
}

func appendTo(list *[]string) func(string) error {
	return func(value string) error {
		*list = append(*list, value)
		return nil
	}
}

// roles is which roles a process runs.
type roles struct{ coordinator, worker, turn bool }

func (r roles) all() bool { return r.coordinator && r.worker && r.turn }

// parseRoles reads "coordinator,worker".
func parseRoles(text string) (roles, error) {
	var r roles
	for name := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(name) {
		case "coordinator":
			r.coordinator = true
		case "worker":
			r.worker = true
		case "turn":
			r.turn = true
		default:
			return r, usageError{fmt.Sprintf("--role %q: no such role; there are coordinator, worker and turn", name)}
		}
	}
	return r, nil
}

// main does what the command line says and returns when it is done.
func (p program) main(ctx context.Context, args []string) error {
	a, err := parse(args)
	if err != nil {
		return err
	}
	switch {
	case a.command == "help":
		return p.print(usage)
	case a.command == "version":
		return p.print(version() + "\n")
	case a.command == "config" && a.defaults:
		return p.print(string(config.DefaultYAML()))
	}
	load := func() (config.Config, error) {
		return config.Load(config.Sources{Files: a.files, Environ: p.environ, Set: a.set})
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	if p.hangup != nil {
		p.hangup.load, p.hangup.files = load, a.files
	}
	switch a.command {
	case "config":
		text, err := cfg.Masked().YAML()
		if err != nil {
			return err
		}
		return p.print(string(text))
	case "health":
		return health(ctx, cfg.Ops.Address)
	case "check":
		if a.cluster.wanted {
			return p.checkCluster(ctx, a.cluster, cfg)
		}
		return p.checkTURN(ctx, a.check, cfg)
	case "loadgen":
		return p.generateLoad(ctx, a.load, cfg)
	}
	return p.play(ctx, cfg, a.roles)
}

func (p program) print(text string) error {
	_, err := io.WriteString(p.stdout, text)
	return err
}
