// Command cloudretro plays retro games in browsers: one binary with the roles
// coordinator, worker and turn, all three unless --role says otherwise.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(start()) }

// start is main with an exit code, so that deferred calls run.
func start() int {
	if code, ok := coreProcess(os.Args[1:]); ok {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	p := program{stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), hangup: &hangup{signal: again}}
	err := p.main(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "cloudretro: %v\n", err)
	}
	return exitCode(err)
}
