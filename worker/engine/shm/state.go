package shm

import (
	"errors"
	"fmt"
	"os"
)

// ErrState says that a state did not get through the memory as it was.
var ErrState = errors.New("the state is damaged")

// PutState lets serialize fill the place of the state on its way and returns how
// many bytes it says it wrote, and their checksum. Core process only, one
// goroutine.
func (m *Memory) PutState(serialize func(dst []byte) (int, error)) (size int, sum uint32, err error) {
	if len(m.transit) == 0 {
		return 0, 0, fmt.Errorf("put state: %w: no room", ErrState)
	}
	size, err = serialize(m.transit)
	if err != nil {
		return 0, 0, fmt.Errorf("put state: %w", err)
	}
	if size < 1 || size > len(m.transit) {
		return 0, 0, fmt.Errorf("put state: %w: %d bytes are not within 1..%d", ErrState, size, len(m.transit))
	}
	return size, checksum(m.transit[:size]), nil
}

// State returns the state on its way, if it is what the worker says it wrote.
// The data is valid until the worker is answered. Core process only.
func (m *Memory) State(size int, sum uint32) ([]byte, error) {
	if size < 1 || size > len(m.transit) {
		return nil, fmt.Errorf("%w: %d bytes are not within 1..%d", ErrState, size, len(m.transit))
	}
	data := m.transit[:size]
	if checksum(data) != sum {
		return nil, fmt.Errorf("%w: checksum", ErrState)
	}
	return data, nil
}

// TakeState copies the state that a core process put into a memory with room for
// snapshots of the given size. What is copied is checked: the core process may
// write on. Worker only.
func TakeState(file *os.File, snapshot, size int, sum uint32) ([]byte, error) {
	if size < 1 || size > roundUp(snapshot) {
		return nil, fmt.Errorf("take state: %w: %d bytes are not within 1..%d", ErrState, size, roundUp(snapshot))
	}
	data := make([]byte, size)
	if _, err := file.ReadAt(data, stateOffset(snapshot)); err != nil {
		return nil, fmt.Errorf("take state: %w", err)
	}
	if checksum(data) != sum {
		return nil, fmt.Errorf("take state: %w: checksum", ErrState)
	}
	return data, nil
}

// GiveState writes a state for the core process and returns its checksum. Worker only.
func GiveState(file *os.File, snapshot int, data []byte) (sum uint32, err error) {
	if len(data) < 1 || len(data) > roundUp(snapshot) {
		return 0, fmt.Errorf("give state: %w: %d bytes are not within 1..%d", ErrState, len(data), roundUp(snapshot))
	}
	if _, err := file.WriteAt(data, stateOffset(snapshot)); err != nil {
		return 0, fmt.Errorf("give state: %w", err)
	}
	return checksum(data), nil
}

// stateOffset is where the state on its way lies in a memory with room for
// snapshots of the given size.
func stateOffset(snapshot int) int64 {
	return int64(fixedSize) + int64(slots-1)*int64(roundUp(snapshot))
}
