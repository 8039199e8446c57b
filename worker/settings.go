package worker

import (
	"fmt"
	"runtime"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
)

// settings are what of a Config a worker looks at each time that it needs them: a
// snapshot that nobody writes to. Places are with the rooms, cores with the library.
type settings struct {
	roomGrace, drainGrace time.Duration
	lateLimit             int // per mille
	systemDir             string
	video                 engine.VideoSpec
	audio                 engine.AudioSpec
}

// settings are those of cfg, whose defaults are filled in.
func (cfg Config) settings() *settings {
	s := &settings{
		roomGrace: cfg.RoomGrace, drainGrace: cfg.DrainGrace, lateLimit: cfg.LateLimit,
		systemDir: cfg.SystemDir, video: cfg.Video, audio: cfg.Audio,
	}
	if s.lateLimit <= 0 {
		s.lateLimit = latePerMille
	}
	return s
}

// places is how many games may be played at once.
func (cfg Config) places() int {
	if cfg.MaxRooms <= 0 {
		return min(2*runtime.NumCPU(), signal.MaxRooms)
	}
	return min(cfg.MaxRooms, signal.MaxRooms)
}

// Reconfigure takes what of next may change while the worker runs: MaxRooms,
// RoomGrace, DrainGrace, LateLimit, Cores, CoreDirs, SystemDir, Video and Audio;
// the rest is not looked at. Rooms that run keep what they were opened with, and
// are not ended if they are more than MaxRooms; the library is looked at again
// with the new cores. With an error nothing has changed. It may be called at any
// time.
func (w *Worker) Reconfigure(next Config) error {
	if next.RoomGrace < 0 || next.DrainGrace < 0 {
		return fmt.Errorf("worker: a grace of %v or %v is negative; set worker.rooms.grace and worker.rooms.drainGrace to 0s or more", next.RoomGrace, next.DrainGrace)
	}
	w.current.Store(next.settings())
	w.rooms.resize(next.places())
	w.library.Reconfigure(next.Cores, next.CoreDirs)
	return nil
}

// now are the settings in force.
func (w *Worker) now() *settings { return w.current.Load() }
