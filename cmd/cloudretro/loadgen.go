package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/cloudretro/cloudretro/cmd/loadgen"
	"github.com/cloudretro/cloudretro/config"
)

// loadArguments are those of `loadgen`.
type loadArguments struct {
	loadgen.Options
	json bool
}

// register adds the flags. What is not said is the default of package loadgen.
func (a *loadArguments) register(flags *flag.FlagSet) {
	flags.Func("coordinators", "", appendEach(&a.Coordinators))
	flags.IntVar(&a.Spawn, "spawn", 0, "")
	flags.StringVar(&a.CPU, "cpu", "", "")
	flags.StringVar(&a.Secret, "secret", "", "")
	flags.StringVar(&a.Name, "name", "", "")
	flags.IntVar(&a.Workers, "workers", 0, "")
	flags.IntVar(&a.Places, "places", 0, "")
	flags.IntVar(&a.Total, "total", 0, "")
	flags.IntVar(&a.Libraries, "libraries", 0, "")
	flags.IntVar(&a.Zones, "zones", 0, "")
	flags.IntVar(&a.Browsers, "browsers", 0, "")
	flags.IntVar(&a.Starts, "starts", 0, "")
	flags.Float64Var(&a.Rate, "rate", 0, "")
	flags.DurationVar(&a.Hold, "hold", 0, "")
	flags.StringVar(&a.Game, "game", "", "")
	flags.IntVar(&a.Media, "media", 0, "")
	flags.DurationVar(&a.Ramp, "ramp", 0, "")
	flags.DurationVar(&a.Calm, "calm", 0, "")
	flags.DurationVar(&a.Duration, "duration", 0, "")
	flags.Func("pid", "", func(text string) error {
		pid, err := strconv.Atoi(text)
		a.PIDs = append(a.PIDs, pid)
		return err
	})
	flags.Func("ops", "", appendEach(&a.Ops))
	flags.BoolVar(&a.json, "json", false, "")
}

// appendEach takes a list that commas separate.
func appendEach(list *[]string) func(string) error {
	return func(text string) error {
		for one := range strings.SplitSeq(text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				*list = append(*list, one)
			}
		}
		return nil
	}
}

// generateLoad loads coordinators and prints the report. The secret is the
// configuration's unless the command line says another.
func (p program) generateLoad(ctx context.Context, a loadArguments, cfg config.Config) error {
	o := a.Options
	if o.Secret == "" {
		o.Secret = cfg.Secrets.Worker
	}
	o.Progress, o.Logger = p.stderr, newLogger(p.stderr, quieter(cfg.Log))
	if err := o.Check(); err != nil {
		return usageError{fmt.Sprintf("loadgen: %v", err)}
	}
	return loadgen.Run(ctx, o, a.json, p.stdout)
}

// quieter is a log without what thousands of simulated workers say of their
// connections, unless that was asked for.
func quieter(log config.Log) config.Log {
	if log.Level == "info" {
		log.Level = "error"
	}
	return log
}
