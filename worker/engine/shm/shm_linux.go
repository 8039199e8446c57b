package shm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// createSealed returns a memory file of a fixed size that nobody can resize.
// Its pages take memory only once they are written.
func createSealed(size int) (*os.File, error) {
	fd, err := unix.MemfdCreate("cloudretro-core", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), "memfd:cloudretro-core")
	if err := file.Truncate(int64(size)); err != nil {
		file.Close()
		return nil, fmt.Errorf("size memory file: %w", err)
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		file.Close()
		return nil, fmt.Errorf("seal memory file: %w", err)
	}
	return file, nil
}

func mapFile(file *os.File, size int) ([]byte, error) {
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map memory file: %w", err)
	}
	return data, nil
}

func unmap(data []byte) error { return unix.Munmap(data) }
