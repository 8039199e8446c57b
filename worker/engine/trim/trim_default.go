//go:build !linux

package trim

// FilePages does nothing where there is no /proc/self/smaps.
func FilePages() (bytes int, err error) { return 0, nil }
