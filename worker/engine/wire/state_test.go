package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestOrdersAndOutcomesRoundTrip(t *testing.T) {
	o := Order{ID: 1<<32 - 1, Size: 32 << 20, Sum: 0xdeadbeef}
	if got, err := ParseOrder(o.Append(nil)); err != nil || got != o {
		t.Errorf("%+v, %v", got, err)
	}
	for _, out := range []Outcome{{Order: o}, {Order{ID: 7}, "the core refused the state"}} {
		if got, err := ParseOutcome(out.Append([]byte("x"))[1:]); err != nil || got != out {
			t.Errorf("%+v, %v", got, err)
		}
	}
	long := Outcome{Text: strings.Repeat("x", 2*MaxText)}
	if got, err := ParseOutcome(long.Append(nil)); err != nil || len(got.Text) != MaxText {
		t.Errorf("a text of %d bytes, %v", len(got.Text), err)
	}
}

func TestOrdersAndOutcomesAreChecked(t *testing.T) {
	for _, size := range []int{0, 11, 13} {
		if _, err := ParseOrder(make([]byte, size)); !errors.Is(err, ErrProtocol) {
			t.Errorf("order of %d bytes: %v", size, err)
		}
	}
	for _, size := range []int{0, 11, 12 + MaxText + 1} {
		if _, err := ParseOutcome(make([]byte, size)); !errors.Is(err, ErrProtocol) {
			t.Errorf("outcome of %d bytes: %v", size, err)
		}
	}
}
