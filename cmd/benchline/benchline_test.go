package benchline

import (
	"math"
	"strings"
	"testing"
)

func TestRound(t *testing.T) {
	for in, want := range map[float64]float64{
		0: 0, 1: 1, 0.123456: 0.12346, 12.345678: 12.346, 123456.4: 123456, -0.000123456: -0.00012346,
		math.Inf(1): 0, math.NaN(): 0,
	} {
		if got := Round(in); math.Abs(got-want) > 1e-9 {
			t.Errorf("Round(%v) = %v, want %v", in, got, want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := Median(tt.values); got != tt.want {
			t.Errorf("Median(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
	values := []float64{3, 1, 2}
	Median(values)
	if values[0] != 3 {
		t.Errorf("Median reordered its argument: %v", values)
	}
}

func TestPrint(t *testing.T) {
	line := struct {
		Result
		Samples int `json:"samples"`
	}{New("x", "a case", 3, 1.5, "somebody", "ms"), 7}
	var b strings.Builder
	if err := Print(&b, line); err != nil {
		t.Fatal(err)
	}
	want := `{"bench":"x","case":"a case","ours":3,"peer":1.5,"peer_name":"somebody","ratio":2,"unit":"ms","samples":7}` + "\n"
	if b.String() != want {
		t.Errorf("printed %s, want %s", b.String(), want)
	}
	if r := New("x", "alone", 3, 0, "", "ms"); r.Ratio != 0 {
		t.Errorf("ratio to nothing is %v, want 0", r.Ratio)
	}
}
