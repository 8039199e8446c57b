package packetizetest

import (
	"bytes"
	"fmt"
)

// H.264 NAL unit types that begin or end an access unit (ITU-T H.264, table 7-1).
const (
	nalSlice     = 1
	nalIDR       = 5
	nalSEI       = 6
	nalDelimiter = 9
	nalFiller    = 12
)

// place is where a NAL unit stands in a byte stream, without what separates it
// from its neighbours.
type place struct{ start, end int }

// places finds the NAL units of an Annex B byte stream.
func places(stream []byte) []place {
	var found []place
	code := []byte{0, 0, 1}
	at := bytes.Index(stream, code)
	for at >= 0 {
		p := place{at + len(code), len(stream)}
		at = bytes.Index(stream[p.start:], code)
		if at >= 0 {
			at += p.start
			p.end = at
		}
		for p.end > p.start && stream[p.end-1] == 0 {
			p.end--
		}
		if p.end > p.start {
			found = append(found, p)
		}
	}
	return found
}

// Units returns the NAL units of an Annex B byte stream, without start codes and
// the zero bytes around them. They are slices of stream.
func Units(stream []byte) [][]byte {
	var units [][]byte
	for _, p := range places(stream) {
		units = append(units, stream[p.start:p.end])
	}
	return units
}

// SplitAnnexB cuts an H.264 byte stream into access units (ITU-T H.264, section
// 7.4.1.2.3): one begins at a delimiter, parameter set or SEI behind a slice, or
// at a slice that starts a picture behind another. They are slices of stream,
// start codes and all.
func SplitAnnexB(stream []byte) ([][]byte, error) {
	found := places(stream)
	if len(found) == 0 {
		return nil, fmt.Errorf("split Annex B: %w: no NAL unit", ErrClip)
	}
	var pictures [][]byte
	begin, end, sliced := 0, 0, false
	for _, p := range found {
		kind := stream[p.start] & 0x1f
		slice := kind >= nalSlice && kind <= nalIDR
		first := slice && p.end-p.start > 1 && stream[p.start+1]&0x80 != 0 // first_mb_in_slice = 0
		if sliced && (first || kind >= nalSEI && kind <= nalDelimiter) {
			// The zero bytes between the two belong to the start code.
			pictures = append(pictures, stream[begin:end])
			begin, sliced = end, false
		}
		sliced = sliced || slice
		end = p.end
	}
	return append(pictures, stream[begin:]), nil
}
