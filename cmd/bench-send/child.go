package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"time"
)

// childEnv holds the role of a child process as JSON. It is an environment
// variable so that the tests' own binary can be a child, too.
const childEnv = "CLOUDRETRO_BENCH_SEND_CHILD"

// callTimeout bounds one request to a child: 64 handshakes, or one run.
const callTimeout = 90 * time.Second

// role is what a child process is to be.
type role struct {
	Name     string // baseline, ours, floor or receivers
	IP       string // its own address
	RealTime bool   // frames go out at 60 per second
	NoGSO    bool   // ours: every segmented send fails with EIO
}

// request is a line from the parent; which fields count depends on Do.
type request struct {
	Do      string
	SDP     string
	Sink    string  // where RTP goes instead of to the viewer
	KBits   int     // bit rate of one viewer
	Frames  int     // how many
	Viewers int     // floor: how many
	Packets int     // floor: of one frame for one viewer
	Size    int     // floor: bytes of a datagram
	Burst   int     // floor: packets that go to a viewer at once
	Whole   bool    // sink: it takes super-packets as they are
	Loss    float64 // receivers: share of packets to throw away
	First   uint64  // receivers: first and last picture to judge
	Last    uint64
	Profile string // file for a CPU profile of the run
}

// response is a line to the parent.
type response struct {
	Err     string
	SDP     string
	Addr    string
	Figures figures
	Seen    verdict
}

// child is a process that does what it is asked, one request at a time. It ends
// when its input is closed.
type child struct {
	role role
	cmd  *exec.Cmd
	in   io.WriteCloser
	to   *json.Encoder
	from *json.Decoder
}

// start runs this program again in a role, behind the words of prefix (ip netns
// exec, taskset). The child is killed when ctx ends.
func start(ctx context.Context, prefix []string, r role) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	what, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode role: %w", err)
	}
	words := append(append([]string{}, prefix...), self)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+string(what))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.Name, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.Name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", r.Name, err)
	}
	return &child{role: r, cmd: cmd, in: in, to: json.NewEncoder(in), from: json.NewDecoder(out)}, nil
}

// call asks and waits for the answer.
func (c *child) call(req request) (response, error) {
	late := time.AfterFunc(callTimeout, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	var res response
	if err := c.to.Encode(req); err != nil {
		return res, fmt.Errorf("ask %s to %s: %w", c.role.Name, req.Do, err)
	}
	if err := c.from.Decode(&res); err != nil {
		return res, fmt.Errorf("%s gave no answer to %s: %w", c.role.Name, req.Do, err)
	}
	if res.Err != "" {
		return res, fmt.Errorf("%s: %s", c.role.Name, res.Err)
	}
	return res, nil
}

// Close ends the process and waits for it.
func (c *child) Close() {
	_ = c.in.Close()
	late := time.AfterFunc(30*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	_ = c.cmd.Wait()
}

// serve is the main function of a child: it answers requests from in until it
// is closed. The parent decides about signals.
func serve(what string, in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt)
	var r role
	if err := json.Unmarshal([]byte(what), &r); err != nil {
		return fmt.Errorf("decode role: %w", err)
	}
	answer, err := newRole(r)
	if err != nil {
		return err
	}
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var req request
		if err := from.Decode(&req); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		res, err := answer(req)
		if err != nil {
			res.Err = fmt.Sprintf("%s: %v", req.Do, err)
		}
		if err := to.Encode(res); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
}

// newRole sets up what a child is and returns what answers its requests.
func newRole(r role) (func(request) (response, error), error) {
	if r.Name == "receivers" {
		return newReceivers(r.IP).answer, nil
	}
	s, err := newSender(r)
	if err != nil {
		return nil, err
	}
	return s.answer, nil
}
