package packetize

// splitOpus makes the packet one payload as it is (RFC 7587, section 4.2: exactly
// one Opus packet in each RTP packet, no header).
func (f *Frame) splitOpus(data []byte, limit int) error {
	if len(data) > limit {
		return ErrTooLarge
	}
	f.bytes = append(f.bytes, data...)
	f.end(0)
	return nil
}
