// Package shm is the memory that a worker shares with a core process: the
// controllers (the worker writes), a sign of life and the last two snapshots of
// the machine (the core process writes), and a place through which states go from
// one to the other when a player saves or loads.
//
// It outlives the core process, which is how the next one goes on from the
// snapshot. The worker maps only the first page of it; nothing in it is trusted
// there but plain numbers. The memory is sealed, so that a core process cannot
// shrink it under the worker's feet.
//
// Layout: one page with the control block, one page with the headers of the two
// snapshots, then the two snapshots and the state on its way, all of one size.
package shm

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"
)

// Sizes of the parts of the memory in bytes.
const (
	pageSize    = 4096
	controlSize = pageSize
	headersSize = pageSize
	fixedSize   = controlSize + headersSize
	slots       = 3 // two snapshots and the state on its way
)

// MaxSnapshot bounds the room for one snapshot, bytes.
const MaxSnapshot = 1 << 30

// magic is the first word of the control block: the layout below, version 2.
const magic = 0x3230_6d73_5243

// ErrLayout says that a file is not such a memory.
var ErrLayout = errors.New("not the shared memory of a core process")

// control is the first page.
type control struct {
	magic    uint64
	progress atomic.Uint64
	_        [48]byte // the worker's and the core process's words on cache lines of their own
	pads     [Ports]pad
}

// Memory is one process's view of the shared memory.
type Memory struct {
	data    []byte // the mapping
	control *control
	slots   []slot // nil on the worker's side
	transit []byte // nil on the worker's side
}

// The control block and the headers fit their pages.
var (
	_ [controlSize - unsafe.Sizeof(control{})]byte
	_ [headersSize - 2*unsafe.Sizeof(header{})]byte
)

// roundUp returns the size of a slot: whole pages.
func roundUp(n int) int { return (n + pageSize - 1) &^ (pageSize - 1) }

// Create makes a memory with room for snapshots of the given size and returns
// the worker's view of it and the file to hand to the core process. The caller
// closes both.
func Create(snapshot int) (*Memory, *os.File, error) {
	if snapshot < 0 || snapshot > MaxSnapshot {
		return nil, nil, fmt.Errorf("create shared memory: snapshot of %d bytes is not within 0..%d", snapshot, MaxSnapshot)
	}
	file, err := createSealed(fixedSize + slots*roundUp(snapshot))
	if err != nil {
		return nil, nil, fmt.Errorf("create shared memory: %w", err)
	}
	data, err := mapFile(file, controlSize)
	if err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("create shared memory: %w", err)
	}
	m := newMemory(data)
	m.control.magic = magic
	return m, file, nil
}

// Open maps a memory that Create made, the core process's view. The file may be
// closed afterwards.
func Open(file *os.File) (*Memory, error) {
	st, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open shared memory: %w", err)
	}
	size := st.Size()
	if size < fixedSize || size > fixedSize+slots*MaxSnapshot || (size-fixedSize)%(slots*pageSize) != 0 {
		return nil, fmt.Errorf("open shared memory: %w: %d bytes", ErrLayout, size)
	}
	data, err := mapFile(file, int(size))
	if err != nil {
		return nil, fmt.Errorf("open shared memory: %w", err)
	}
	m := newMemory(data)
	if m.control.magic != magic {
		return nil, errors.Join(fmt.Errorf("open shared memory: %w: version differs", ErrLayout), m.Close())
	}
	m.mapSlots()
	return m, nil
}

func newMemory(data []byte) *Memory {
	return &Memory{data: data, control: (*control)(unsafe.Pointer(&data[0]))}
}

// Close unmaps the memory; nothing else may be called afterwards but Close.
func (m *Memory) Close() error {
	data := m.data
	m.data, m.control, m.slots, m.transit = nil, nil, nil, nil
	if data == nil {
		return nil
	}
	return unmap(data)
}

// Advance counts one frame that the machine has run; the core process calls it.
func (m *Memory) Advance() { m.control.progress.Add(1) }

// Progress is the number of frames that all core processes on this memory have run.
func (m *Memory) Progress() uint64 { return m.control.progress.Load() }
