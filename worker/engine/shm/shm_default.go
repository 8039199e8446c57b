//go:build !linux

package shm

import (
	"errors"
	"os"
)

var errPlatform = errors.New("core processes need Linux (memfd_create)")

func createSealed(int) (*os.File, error) { return nil, errPlatform }

func mapFile(*os.File, int) ([]byte, error) { return nil, errPlatform }

func unmap([]byte) error { return errPlatform }
