package room

import (
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/send"
)

// sink takes what the engine makes, in the engine's goroutine.
type sink struct{ room *Room }

var _ engine.Sink = sink{}

// Video sends a picture to all viewers.
func (s sink) Video(f *media.Frame) {
	taken := s.room.sender.Video(send.Frame{Codec: s.room.cfg.Video, Data: f.Data, Key: f.Key, PTS: f.PTS})
	if f.Key {
		s.room.keys.Delivered(taken)
	}
}

// Audio sends a packet of sound to all viewers.
func (s sink) Audio(p *media.Packet) {
	s.room.sender.Audio(send.Sound{Data: p.Data, PTS: p.PTS, Duration: p.Duration})
}

// Event tells the pages what happened to the game.
func (s sink) Event(ev engine.Event) {
	_ = s.room.do(func() { s.room.happened(ev) })
}

func (r *Room) happened(ev engine.Event) {
	r.log.Debug("engine", "event", ev.Kind.String(), "text", ev.Text)
	switch ev.Kind {
	case engine.EventReady, engine.EventChanged:
		r.info, r.known = ev.Info, true
		r.tellAll(newGeometry(r.info))
	case engine.EventRestarting:
		r.tellAll(textMessage{"message", "the game stopped and is restarted: " + ev.Text})
	case engine.EventRestarted:
		r.info, r.known = ev.Info, true
		r.tellAll(newGeometry(r.info))
		r.tellAll(textMessage{"restarted", "the game goes on from its last snapshot"})
	case engine.EventMessage:
		r.tellAll(textMessage{"message", ev.Text})
	case engine.EventFailed: // Run returns the same as an error
	}
}
