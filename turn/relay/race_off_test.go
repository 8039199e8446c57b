//go:build !race

package relay

// racing says that the race detector is at work, which allocates.
const racing = false
