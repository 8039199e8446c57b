package packetize

// Bits of the aggregation header (AOMedia RTP specification, section 4.4).
const (
	av1Continues = 0x80 // Z: the first element continues one of the packet before
	av1Continued = 0x40 // Y: the last element continues in the next packet
	av1Count     = 4    // W: number of elements, shifted by this
	av1Sequence  = 0x08 // N: first packet of a coded video sequence
)

// av1MaxCount is the largest W. Up to it the last element of a payload has no
// size; with more elements W is 0 and each has one.
const av1MaxCount = 3

// av1Slack is what a payload of more elements than av1MaxCount may need beyond
// its share: a size for the part of the unit that it ends with, and an octet that
// stays free because no element fits. Without it a last payload of a few octets
// could be left over.
const av1Slack = 3

// splitAV1 lays the units of a temporal unit end to end, each without its size
// field, and cuts wherever a payload is full, so that all are equal.
func (f *Frame) splitAV1(data []byte, limit int) error {
	t, err := surveyAV1(data)
	if err != nil || t.units == 0 {
		return err
	}
	p := packer{frame: f, size: 1 + cut(t.bytes, limit-1)}
	if t.units > av1MaxCount {
		p.size = min(limit, p.size+av1Slack)
	}
	if t.start {
		p.begin(av1Sequence)
	} else {
		p.begin(0)
	}
	for left := t.units; left > 0; {
		o, rest, err := nextOBU(data)
		if err != nil {
			return err
		}
		data = rest
		if o.dropped() {
			continue
		}
		left--
		p.add(&o, left > 0)
	}
	p.finish(0)
	return nil
}

// packer fills payloads with OBU elements.
type packer struct {
	frame    *Frame
	size     int // of a full payload
	start    int // of the open payload in Frame.bytes
	elements int // in the open payload
	bare     bool
}

// begin opens a payload with these bits of the aggregation header.
func (p *packer) begin(header byte) {
	p.start, p.elements, p.bare = len(p.frame.bytes), 0, false
	p.frame.bytes = append(p.frame.bytes, header)
}

// finish ends the open payload, if it has an element. Header is 0 or
// av1Continued.
func (p *packer) finish(header byte) {
	if p.elements == 0 {
		p.frame.bytes = p.frame.bytes[:p.start]
		return
	}
	if p.bare {
		header |= byte(p.elements) << av1Count
	}
	p.frame.bytes[p.start] |= header
	p.frame.end(p.start)
}

// add appends a unit, in as many payloads as it takes; more says that others
// follow.
func (p *packer) add(o *obu, more bool) {
	for at := 0; at < o.size(); {
		n, prefixed := p.fit(o.size()-at, more)
		if n > 0 {
			b := p.frame.bytes
			if prefixed {
				b = appendLEB128(b, n)
			}
			p.frame.bytes = o.appendTo(b, at, n)
			p.elements++
			p.bare = !prefixed
			at += n
		}
		switch {
		case n > 0 && at < o.size():
			p.finish(av1Continued)
			p.begin(av1Continues)
		case n == 0 || p.bare:
			p.finish(0)
			p.begin(0)
		}
	}
}

// fit returns how many of rest octets the open payload takes, and whether their
// number stands before them. An element without it is the payload's last.
func (p *packer) fit(rest int, more bool) (n int, prefixed bool) {
	room := p.size - (len(p.frame.bytes) - p.start)
	spare := room - lenLEB128(rest) - rest
	if p.elements >= av1MaxCount {
		if spare >= 0 {
			return rest, true
		}
		n = max(0, room-1)
		for n > 0 && lenLEB128(n)+n > room {
			n--
		}
		return n, true
	}
	need := 1 // for an octet of the next element
	if p.elements+1 == av1MaxCount {
		need = 2 // which then has its size
	}
	if more && spare >= need {
		return rest, true
	}
	return min(rest, room), false
}
