package packetize

func (f *Frame) splitH264(data []byte, limit int) error { return ErrCodec }
