package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// rogueCommand makes the test binary a core process that does not behave; what
// it does is its second argument.
const rogueCommand = "rogue"

// rogue is a core process without a machine.
type rogue struct {
	conn   net.Conn
	memory *shm.Memory
	start  wire.Start
}

func rogueMain(what string) int {
	cfg, err := inherit()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 9
	}
	r := &rogue{conn: cfg.Conn, memory: cfg.Memory}
	signal.Ignore(syscall.SIGPIPE)
	_, payload, err := wire.NewReader(cfg.Conn, wire.MaxMessage).Next()
	if err == nil {
		r.start, err = wire.ParseStart(payload)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 9
	}
	what, early := strings.CutPrefix(what, "early-")
	if !early {
		r.ready()
	}
	if what, ok := strings.CutPrefix(what, "outcome-"); ok {
		return r.answerOrders(what)
	}
	return r.misbehave(what)
}

func (r *rogue) send(t wire.Type, payload []byte) {
	msg, _ := wire.AppendMessage(nil, t, payload)
	_, _ = r.conn.Write(msg)
}

func (r *rogue) ready() {
	info := Info{Width: 4, Height: 4, EncodedWidth: 4, EncodedHeight: 4, Aspect: 1, FPS: 60, SampleRate: 48000, CoreName: "rogue"}
	payload, _ := info.Append(nil)
	r.send(wire.TypeReady, payload)
}

func (r *rogue) video(pts time.Duration) {
	payload := wire.AppendVideoHeader(nil, &media.Frame{PTS: pts, Width: 4, Height: 4, Key: true})
	r.send(wire.TypeVideo, append(payload, 0, 0, 0, 1, 0x65))
}

// sleep outlives every test; the worker has to end the process.
func sleep() int {
	time.Sleep(time.Hour)
	return 0
}

func (r *rogue) misbehave(what string) int {
	switch what {
	case "exit":
		fmt.Fprintln(os.Stderr, "first words")
		fmt.Fprintln(os.Stderr, "last words")
		return 7
	case "panic":
		panic("rogue")
	case "sleep":
		return sleep()
	case "refuse":
		r.send(wire.TypeFailed, []byte("this is\nno game\xff"))
		return 2
	case "close":
		r.conn.Close()
		return sleep()
	case "garbage":
		_, _ = r.conn.Write([]byte(strings.Repeat("garbage", 1000)))
	case "huge":
		_, _ = r.conn.Write(append(binary.LittleEndian.AppendUint32(nil, 0xffffffff), byte(wire.TypeVideo)))
	case "kind":
		r.send(99, nil)
	case "nothing":
		r.send(wire.TypeVideo, nil)
	case "future":
		r.video(monotonicNow() + time.Hour)
	case "backwards":
		r.video(monotonicNow())
		r.video(monotonicNow() - time.Second)
	case "info":
		r.send(wire.TypeChanged, []byte(`{"width":-1}`))
	case "stats":
		r.send(wire.TypeStats, []byte("x"))
	case "flood": // without end, so that a busy worker, too, gets too many in some second
		msg, _ := wire.AppendMessage(nil, wire.TypeMessage, []byte("hello"))
		for err := error(nil); err == nil; {
			_, err = r.conn.Write(bytes.Repeat(msg, 1000))
		}
	case "chatter":
		line := strings.Repeat("x", 10000) + "\n"
		for range 1000 {
			fmt.Fprint(os.Stderr, line)
		}
		r.send(wire.TypeMessage, []byte("done"))
	case "deaf": // lives, but neither reads nor ends when told
		for {
			r.memory.Advance()
			time.Sleep(10 * time.Millisecond)
		}
	}
	return sleep()
}
