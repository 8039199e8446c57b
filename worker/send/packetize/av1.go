package packetize

func (f *Frame) splitAV1(data []byte, limit int) error { return ErrCodec }
