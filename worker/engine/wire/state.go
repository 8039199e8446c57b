package wire

import (
	"encoding/binary"
	"fmt"
)

// Order is the payload of TypeSave and TypeLoad.
type Order struct {
	ID   uint32 // repeated in the Outcome
	Size uint32 // bytes of the state in the shared memory; 0 of TypeSave
	Sum  uint32 // checksum of them
}

// Outcome answers an Order. A worker has one order at a time on its way.
type Outcome struct {
	Order        // ID is that of the order; Size and Sum are of the state saved
	Text  string // why it could not be done, "" if it was
}

const orderSize = 12 // bytes

// Append adds the message's payload to dst.
func (o Order) Append(dst []byte) []byte {
	for _, v := range [...]uint32{o.ID, o.Size, o.Sum} {
		dst = binary.LittleEndian.AppendUint32(dst, v)
	}
	return dst
}

// ParseOrder reads what Order.Append wrote.
func ParseOrder(payload []byte) (Order, error) {
	if len(payload) != orderSize {
		return Order{}, fmt.Errorf("%w: order of %d bytes", ErrProtocol, len(payload))
	}
	return order(payload), nil
}

func order(payload []byte) Order {
	return Order{
		ID: binary.LittleEndian.Uint32(payload), Size: binary.LittleEndian.Uint32(payload[4:]),
		Sum: binary.LittleEndian.Uint32(payload[8:]),
	}
}

// Append adds the message's payload to dst.
func (o Outcome) Append(dst []byte) []byte {
	return append(o.Order.Append(dst), CleanText(o.Text, MaxText)...)
}

// ParseOutcome reads what Outcome.Append wrote. The size is not checked: only
// who gave the order knows how much there is room for.
func ParseOutcome(payload []byte) (Outcome, error) {
	if len(payload) < orderSize || len(payload) > orderSize+MaxText {
		return Outcome{}, fmt.Errorf("%w: outcome of %d bytes", ErrProtocol, len(payload))
	}
	text, err := ParseText(payload[orderSize:])
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{order(payload), text}, nil
}
