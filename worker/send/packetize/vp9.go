package packetize

func (f *Frame) splitVP9(data []byte, limit int, picture uint16) error { return ErrCodec }
