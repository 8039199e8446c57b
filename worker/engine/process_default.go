//go:build !linux

package engine

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

var errPlatform = errors.New("core processes need Linux")

func socketPair() (*net.UnixConn, *os.File, error) { return nil, nil, errPlatform }

func childAttributes(bool) *syscall.SysProcAttr { return nil }

func monotonicNow() time.Duration { return time.Duration(time.Now().UnixNano()) }

func platform() error { return errPlatform }

func offerFirst(int) error { return errPlatform }
