package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/cloudretro/cloudretro/media/h264"
	"github.com/cloudretro/cloudretro/worker/engine/corehost"
	"github.com/cloudretro/cloudretro/worker/engine/sandbox"
	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/libretro"
)

// What a core process finds open.
const (
	socketFD = 3
	memoryFD = 4
)

// Go's side of a core process: it allocates almost nothing once it runs, so its
// heap stays close to what is alive.
const (
	gcPercent   = 25
	memoryLimit = 64 << 20 // bytes of Go's heap before it collects harder
	processors  = 2        // one for the machine, one for the encoders
)

// CoreMain is the whole life of a core process; it returns the exit code. The
// caller exits with it at once. File descriptors 3 and 4 are what an Engine
// handed it.
func CoreMain() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: dropTime}))
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	runtime.GOMAXPROCS(min(processors, runtime.GOMAXPROCS(0)))
	cfg, err := inherit()
	if err != nil {
		log.Error("not started by a worker", "error", err)
		return corehost.ExitFailed
	}
	cfg.Logger, cfg.Unconfined = log, sandbox.Process(processLimits()).String()
	return corehost.Run(cfg)
}

// dropTime leaves the time out: the worker's log has it.
func dropTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// inherit opens what the worker handed over.
func inherit() (corehost.Config, error) {
	socket, memory := os.NewFile(socketFD, "worker"), os.NewFile(memoryFD, "memory")
	if socket == nil || memory == nil {
		return corehost.Config{}, errors.New("file descriptors 3 and 4 are not open")
	}
	defer socket.Close()
	defer memory.Close()
	conn, err := net.FileConn(socket)
	if err != nil {
		return corehost.Config{}, fmt.Errorf("file descriptor 3: %w", err)
	}
	mem, err := shm.Open(memory)
	if err != nil {
		return corehost.Config{}, errors.Join(fmt.Errorf("file descriptor 4: %w", err), conn.Close())
	}
	return corehost.Config{Conn: conn, Memory: mem}, nil
}

// Available returns nil if this build on this host can run core processes and
// otherwise says what is missing.
func Available() error {
	if err := platform(); err != nil {
		return err
	}
	if err := libretro.Available(); err != nil {
		return fmt.Errorf("no emulation: %w", err)
	}
	if err := h264.Probe(h264.LibraryAuto); err != nil {
		return fmt.Errorf("no video encoder: %w", err)
	}
	return nil
}
