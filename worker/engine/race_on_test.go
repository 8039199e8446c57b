//go:build race

package engine

// slack is by how much a limit in time may be exceeded here: everything takes several times longer than it does in earnest.
const slack = 10
