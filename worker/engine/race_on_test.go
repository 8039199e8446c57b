//go:build race

package engine

// raceEnabled: everything takes several times longer than it does in earnest.
const raceEnabled = true
