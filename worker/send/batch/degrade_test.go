package batch

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
)

// kernel is a fake one: it takes so many messages a call, and answers with errors
// that were written for it first, then with always if that is set.
type kernel struct {
	most    int
	answers []error
	always  error
	sent    []message
	calls   int
}

func (k *kernel) take(_ *Writer, messages []message) (int, error) {
	k.calls++
	if len(k.answers) > 0 {
		err := k.answers[0]
		k.answers = k.answers[1:]
		if err != nil {
			return 0, err
		}
	} else if k.always != nil {
		return 0, k.always
	}
	n := min(k.most, len(messages))
	k.sent = append(k.sent, messages[:n]...)
	return n, nil
}

// writer returns a Writer on a real socket that talks to the fake kernel.
func (k *kernel) writer(t *testing.T) (*Writer, netip.AddrPort) {
	t.Helper()
	c := listen(t, netip.MustParseAddr("127.0.0.1"), Config{})
	c.segmentation.Store(true)
	w := c.NewWriter()
	w.transmit = k.take
	return w, netip.MustParseAddrPort("127.0.0.1:9")
}

func TestFlushWhateverTheKernelSays(t *testing.T) {
	all := []message{{0, 0, 3000, 3}, {1, 0, 1000, 1}, {2, 0, 2000, 2}}
	single := []message{{0, 0, 1000, 1}, {0, 1000, 2000, 1}, {0, 2000, 3000, 1}}
	tests := []struct {
		name     string
		most     int
		answers  []error
		sent     []message
		failures []Failure
	}{
		{"all at once", 64, nil, all, nil},
		{"one by one", 1, nil, all, nil},
		{"full for a moment", 64, []error{syscall.EAGAIN, syscall.EAGAIN}, all, nil},
		{"full in the middle", 1, []error{nil, syscall.EAGAIN, nil, syscall.EAGAIN}, all, nil},
		{"EIO", 64, []error{syscall.EIO}, slices.Concat(single, []message{{1, 0, 1000, 1}, {2, 0, 1000, 1}, {2, 1000, 2000, 1}}), nil},
		{"EIO in the middle", 1, []error{nil, nil, syscall.EIO}, slices.Concat(all[:2], []message{{2, 0, 1000, 1}, {2, 1000, 2000, 1}}), nil},
		{"EMSGSIZE", 64, []error{syscall.EMSGSIZE}, slices.Concat(single, all[1:]), []Failure{{10, 3, ErrTooLarge}}},
		{"EINVAL", 64, []error{syscall.EINVAL}, slices.Concat(single, all[1:]), []Failure{{10, 3, ErrTooLarge}}},
		{"EPERM", 64, []error{syscall.EPERM}, all[1:], []Failure{{10, 3, syscall.EPERM}}},
		{"EPERM in the middle", 1, []error{nil, syscall.EPERM}, []message{all[0], all[2]}, []Failure{{11, 1, syscall.EPERM}}},
		{"EMSGSIZE of one datagram", 1, []error{nil, syscall.EMSGSIZE}, []message{all[0], all[2]}, []Failure{{11, 1, syscall.EMSGSIZE}}},
		{"EIO of one datagram", 1, []error{nil, syscall.EIO}, []message{all[0], all[2]}, []Failure{{11, 1, syscall.EIO}}},
		{
			"EMSGSIZE, then of a datagram", 1,
			[]error{syscall.EMSGSIZE, nil, syscall.EMSGSIZE},
			slices.Concat(single[:1], single[2:], all[1:]),
			[]Failure{{10, 3, ErrTooLarge}, {10, 1, syscall.EMSGSIZE}},
		},
		{"closed meanwhile", 1, []error{nil, syscall.EPIPE}, all[:1], []Failure{{11, 1, net.ErrClosed}, {12, 2, net.ErrClosed}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := &kernel{most: test.most, answers: test.answers}
			w, to := k.writer(t)
			w.Add(to, make([]byte, 3000), 1000, 10)
			w.Add(to, make([]byte, 1000), 1000, 11)
			w.Add(to, make([]byte, 2000), 1000, 12)
			failures := w.Flush()
			if !slices.Equal(k.sent, test.sent) {
				t.Errorf("sent %v, want %v", k.sent, test.sent)
			}
			if !slices.Equal(failures, test.failures) {
				t.Errorf("failures %v, want %v", failures, test.failures)
			}
			account(t, w.conn.Stats(), k, 6)
			if again := w.Flush(); again != nil {
				t.Error("reported twice:", again)
			}
		})
	}
}

// account says whether each of n datagrams was counted as sent or as dropped.
func account(t *testing.T, s Stats, k *kernel, n uint64) {
	t.Helper()
	if got := s.Packets + s.DroppedClosed + s.DroppedCongested + s.DroppedError; got != n {
		t.Errorf("%d datagrams counted, want %d: %+v", got, n, s)
	}
	var messages uint64
	for _, m := range s.Segments {
		messages += m
	}
	if messages != s.Messages || s.Messages != uint64(len(k.sent)) || s.Syscalls != uint64(k.calls) {
		t.Errorf("%d messages in %d calls, counted %+v", len(k.sent), k.calls, s)
	}
}

func TestFlushGivesUpOnAFullBuffer(t *testing.T) {
	k := &kernel{most: 1, answers: []error{nil}, always: syscall.EAGAIN}
	w, to := k.writer(t)
	for tag := range 3 {
		w.Add(to, make([]byte, 2500), 1000, tag)
	}
	want := []Failure{{1, 3, ErrCongested}, {2, 3, ErrCongested}}
	if failures := w.Flush(); !slices.Equal(failures, want) {
		t.Errorf("failures %v, want %v", failures, want)
	}
	if s := w.conn.Stats(); s.DroppedCongested != 6 || s.Packets != 3 {
		t.Errorf("stats %+v", s)
	}
	k.always = nil
	w.Add(to, make([]byte, 10), 10, 0)
	if failures := w.Flush(); failures != nil {
		t.Error("after room came:", failures)
	}
}

func TestAddSendsWhenFull(t *testing.T) {
	k := &kernel{most: 64}
	w, to := k.writer(t)
	const n = writerEntries*2 + 5
	for range n {
		w.Add(to, make([]byte, 10), 10, 0)
	}
	if len(k.sent) != writerEntries*2 {
		t.Errorf("%d messages sent by Add, want %d", len(k.sent), writerEntries*2)
	}
	w.Flush()
	if len(k.sent) != n {
		t.Errorf("%d messages sent, want %d", len(k.sent), n)
	}
	if k.calls != 9 {
		t.Errorf("%d calls, want 9", k.calls)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	k := &kernel{most: 1, always: syscall.EPERM}
	w, to := k.writer(t)
	for tag := range 3 * writerFailures {
		w.Add(to, make([]byte, 10), 10, tag)
	}
	failures := w.Flush()
	if len(failures) != writerFailures || failures[writerFailures-1].Tag != writerFailures-1 {
		t.Errorf("%d failures, the last %v", len(failures), failures[len(failures)-1])
	}
	if s := w.conn.Stats(); s.DroppedError != 3*writerFailures {
		t.Errorf("%d dropped, want %d", s.DroppedError, 3*writerFailures)
	}
}

func TestAddOddArguments(t *testing.T) {
	k := &kernel{most: 64}
	w, to := k.writer(t)
	w.Add(to, nil, 1200, 1)
	w.Add(to, make([]byte, 10), 0, 2)
	w.Add(to, make([]byte, 10), -5, 3)
	w.Add(to, make([]byte, 10), 1200, 4)
	w.Add(netip.AddrPort{}, make([]byte, 10), 5, 5)
	w.Add(netip.MustParseAddrPort("[::1]:9"), make([]byte, 10), 10, 6)
	w.Add(netip.MustParseAddrPort("[::ffff:127.0.0.1]:9"), make([]byte, 10), 10, 7)
	failures := w.Flush()
	if want := []Failure{{5, 2, ErrFamily}, {6, 1, ErrFamily}}; !slices.Equal(failures, want) {
		t.Errorf("failures %v, want %v", failures, want)
	}
	if want := []message{{0, 0, 10, 1}, {1, 0, 10, 1}, {2, 0, 10, 1}, {3, 0, 10, 1}}; !slices.Equal(k.sent, want) {
		t.Errorf("sent %v, want %v", k.sent, want)
	}
	if s := w.conn.Stats(); s.DroppedError != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestWriterHoldsNoMemoryOfOthers(t *testing.T) {
	c := listen(t, netip.MustParseAddr("127.0.0.1"), Config{})
	w := c.NewWriter()
	w.Add(c.AddrPort(), make([]byte, 1000), 100, 1)
	w.Flush()
	for _, e := range w.entries[:cap(w.entries)] {
		if e.packets != nil {
			t.Fatal("an entry keeps the caller's memory alive")
		}
	}
}

func TestFlushAfterClose(t *testing.T) {
	c := listen(t, netip.MustParseAddr("127.0.0.1"), Config{})
	w := c.NewWriter()
	w.Add(c.AddrPort(), make([]byte, 1000), 100, 1)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	failures := w.Flush()
	if len(failures) != 1 || failures[0].Packets != 10 || !errors.Is(failures[0].Err, net.ErrClosed) {
		t.Errorf("failures %v", failures)
	}
	if s := c.Stats(); s.DroppedClosed != 10 {
		t.Errorf("stats %+v", s)
	}
}
