//go:build !race

package engine

// slack is by how much a limit in time may be exceeded here: the host of a test has more to do.
const slack = 2
