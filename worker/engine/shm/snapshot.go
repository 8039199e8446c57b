package shm

import (
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"unsafe"
)

// header describes the snapshot in a slot. It is written last, so that a
// process killed in the middle leaves the other slot's snapshot intact.
type header struct {
	seq    atomic.Uint64 // 0 = nothing here, else the greater is the newer
	length atomic.Uint64 // bytes
	crc    atomic.Uint64 // CRC-32C of them
}

type slot struct {
	header *header
	data   []byte
}

// ErrNoSnapshot says that there is no complete snapshot.
var ErrNoSnapshot = errors.New("no snapshot")

func (m *Memory) mapSlots() {
	headers := (*[2]header)(unsafe.Pointer(&m.data[controlSize]))
	size := (len(m.data) - fixedSize) / slots
	part := func(i int) []byte {
		from := fixedSize + i*size
		return m.data[from : from+size : from+size]
	}
	m.slots = []slot{{&headers[0], part(0)}, {&headers[1], part(1)}}
	m.transit = part(slots - 1)
}

// SnapshotSize is the largest snapshot there is room for, 0 on the worker's side.
func (m *Memory) SnapshotSize() int {
	if m.slots == nil {
		return 0
	}
	return len(m.slots[0].data)
}

// WriteSnapshot lets serialize fill the slot of the older snapshot, dst, and
// makes the bytes it says it wrote the newest snapshot. It returns their
// number. Core process only, one goroutine.
func (m *Memory) WriteSnapshot(serialize func(dst []byte) (int, error)) (int, error) {
	if m.slots == nil || m.SnapshotSize() == 0 {
		return 0, fmt.Errorf("write snapshot: %w: no room", ErrNoSnapshot)
	}
	older, newer := m.order()
	h := older.header
	h.seq.Store(0)
	size, err := serialize(older.data)
	if err != nil {
		return 0, fmt.Errorf("write snapshot: %w", err)
	}
	if size < 1 || size > len(older.data) {
		return 0, fmt.Errorf("write snapshot: %d bytes are not within 1..%d", size, len(older.data))
	}
	h.length.Store(uint64(size))
	h.crc.Store(uint64(checksum(older.data[:size])))
	h.seq.Store(newer.header.seq.Load() + 1)
	return size, nil
}

// ReadSnapshot returns the newest complete snapshot and its sequence number,
// or ErrNoSnapshot. The data is valid until the next WriteSnapshot but one.
func (m *Memory) ReadSnapshot() (data []byte, seq uint64, err error) {
	if m.slots == nil {
		return nil, 0, ErrNoSnapshot
	}
	older, newer := m.order()
	for _, s := range []slot{newer, older} {
		if data, ok := s.read(); ok {
			return data, s.header.seq.Load(), nil
		}
	}
	return nil, 0, ErrNoSnapshot
}

func (m *Memory) order() (older, newer slot) {
	if m.slots[0].header.seq.Load() > m.slots[1].header.seq.Load() {
		return m.slots[1], m.slots[0]
	}
	return m.slots[0], m.slots[1]
}

func (s slot) read() ([]byte, bool) {
	length := s.header.length.Load()
	if s.header.seq.Load() == 0 || length == 0 || length > uint64(len(s.data)) {
		return nil, false
	}
	data := s.data[:length]
	return data, uint64(checksum(data)) == s.header.crc.Load()
}

func checksum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }
