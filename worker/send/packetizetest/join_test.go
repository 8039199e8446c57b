package packetizetest_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/packetizetest"
)

type payloads = [][]byte

// TestJoin has payloads by hand, from the text of the specifications; forms that
// packetize never makes as well.
func TestJoin(t *testing.T) {
	for name, c := range map[string]struct {
		codec    packetize.Codec
		payloads payloads
		want     []byte
	}{
		"single unit": {packetize.H264, payloads{{0x41, 7}}, []byte{0, 0, 0, 1, 0x41, 7}},
		"STAP-A":      {packetize.H264, payloads{{0x78, 0, 2, 0x67, 1, 0, 1, 0x28}}, []byte{0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x28}},
		"FU-A": {
			packetize.H264,
			payloads{{0x7c, 0x85, 1}, {0x7c, 0x05, 2, 3}, {0x7c, 0x45, 4}, {0x41}},
			[]byte{0, 0, 0, 1, 0x65, 1, 2, 3, 4, 0, 0, 0, 1, 0x41},
		},
		"VP8, bare":              {packetize.VP8, payloads{{0x10, 1}, {0x00, 2}}, []byte{1, 2}},
		"VP8, 7-bit id":          {packetize.VP8, payloads{{0x90, 0x80, 5, 1}, {0x80, 0x80, 5, 2}}, []byte{1, 2}},
		"VP8, all fields":        {packetize.VP8, payloads{{0x90, 0xf0, 0x81, 5, 9, 0x20, 1}}, []byte{1}},
		"VP8, second partition":  {packetize.VP8, payloads{{0x10, 1}, {0x11, 2}, {0x01, 3}}, []byte{1, 2, 3}},
		"VP9, bare":              {packetize.VP9, payloads{{0x08, 1}, {0x04, 2}}, []byte{1, 2}},
		"VP9, layers":            {packetize.VP9, payloads{{0xac, 5, 0x00, 9, 1}}, []byte{1}},
		"VP9, structure":         {packetize.VP9, payloads{{0x0e, 0x30, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, []byte{9}},
		"VP9, picture group":     {packetize.VP9, payloads{{0x0e, 0x08, 2, 0x04, 1, 0x08, 1, 2, 9}}, []byte{9}},
		"AV1, one":               {packetize.AV1, payloads{{0x10, 0x30, 1}}, []byte{0x32, 1, 1}},
		"AV1, two":               {packetize.AV1, payloads{{0x28, 1, 0x08, 0x30, 1}}, []byte{0x0a, 0, 0x32, 1, 1}},
		"AV1, sizes":             {packetize.AV1, payloads{{0x00, 1, 0x08, 2, 0x30, 1}}, []byte{0x0a, 0, 0x32, 1, 1}},
		"AV1, extension":         {packetize.AV1, payloads{{0x10, 0x34, 0x48, 1}}, []byte{0x36, 0x48, 1, 1}},
		"AV1, header in pieces":  {packetize.AV1, payloads{{0x50, 0x34}, {0xd0, 0x48}, {0x90, 1}}, []byte{0x36, 0x48, 1, 1}},
		"AV1, tail and the next": {packetize.AV1, payloads{{0x50, 0x30, 1}, {0xa0, 1, 2, 0x20}}, []byte{0x32, 2, 1, 2, 0x22, 0}},
		"Opus":                   {packetize.Opus, payloads{{1, 2}}, []byte{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := packetizetest.Join(c.codec, c.payloads)
			if err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("%x, %v, want %x", got, err, c.want)
			}
		})
	}
}

// TestJoinRefuses has one broken rule in each row.
func TestJoinRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		codec    packetize.Codec
		payloads payloads
	}{
		"empty":                   {packetize.H264, payloads{{}}},
		"type 0":                  {packetize.H264, payloads{{0x60, 1}}},
		"STAP-B":                  {packetize.H264, payloads{{0x79, 0, 0, 0, 1, 1}}},
		"STAP-A, no unit":         {packetize.H264, payloads{{0x78}}},
		"STAP-A, empty unit":      {packetize.H264, payloads{{0x78, 0, 0, 0, 1, 0x67}}},
		"STAP-A, cut short":       {packetize.H264, payloads{{0x78, 0, 3, 0x67, 1}}},
		"STAP-A, NRI too small":   {packetize.H264, payloads{{0x58, 0, 1, 0x67}}},
		"FU-A, no start":          {packetize.H264, payloads{{0x7c, 0x05, 1}, {0x7c, 0x45, 2}}},
		"FU-A, two starts":        {packetize.H264, payloads{{0x7c, 0x85, 1}, {0x7c, 0x85, 2}, {0x7c, 0x45, 2}}},
		"FU-A, no end":            {packetize.H264, payloads{{0x7c, 0x85, 1}, {0x7c, 0x05, 2}}},
		"FU-A, start and end":     {packetize.H264, payloads{{0x7c, 0xc5, 1}}},
		"FU-A, reserved bit":      {packetize.H264, payloads{{0x7c, 0xa5, 1}, {0x7c, 0x45, 2}}},
		"FU-A, type changes":      {packetize.H264, payloads{{0x7c, 0x85, 1}, {0x7c, 0x41, 2}}},
		"FU-A, NRI changes":       {packetize.H264, payloads{{0x7c, 0x85, 1}, {0x5c, 0x45, 2}}},
		"FU-A, interrupted":       {packetize.H264, payloads{{0x7c, 0x85, 1}, {0x41, 2}, {0x7c, 0x45, 2}}},
		"FU-A, no bytes":          {packetize.H264, payloads{{0x7c, 0x85}, {0x7c, 0x45, 2}}},
		"VP8, empty":              {packetize.VP8, payloads{{0x10}}},
		"VP8, id cut short":       {packetize.VP8, payloads{{0x90, 0x80, 0x80}}},
		"VP8, no start":           {packetize.VP8, payloads{{0x00, 1}}},
		"VP8, two starts":         {packetize.VP8, payloads{{0x10, 1}, {0x10, 1}}},
		"VP8, reserved bit":       {packetize.VP8, payloads{{0x50, 1}}},
		"VP8, id changes":         {packetize.VP8, payloads{{0x90, 0x80, 5, 1}, {0x80, 0x80, 6, 2}}},
		"VP9, empty":              {packetize.VP9, payloads{{0x0c}}},
		"VP9, no begin":           {packetize.VP9, payloads{{0x04, 1}}},
		"VP9, no end":             {packetize.VP9, payloads{{0x08, 1}}},
		"VP9, early end":          {packetize.VP9, payloads{{0x0c, 1}, {0x04, 1}}},
		"VP9, flexible":           {packetize.VP9, payloads{{0x1c, 1}}},
		"VP9, late structure":     {packetize.VP9, payloads{{0x08, 1}, {0x06, 0x00, 1}}},
		"VP9, structure short":    {packetize.VP9, payloads{{0x0e, 0x10, 1, 2, 3}}},
		"VP9, prediction changes": {packetize.VP9, payloads{{0x48, 1}, {0x04, 1}}},
		"VP9, id changes":         {packetize.VP9, payloads{{0x88, 5, 1}, {0x84, 6, 1}}},
		"AV1, empty":              {packetize.AV1, payloads{{0x10}}},
		"AV1, reserved bits":      {packetize.AV1, payloads{{0x11, 0x30, 1}}},
		"AV1, too many elements":  {packetize.AV1, payloads{{0x20, 2, 0x30, 1}}},
		"AV1, size too large":     {packetize.AV1, payloads{{0x00, 3, 0x30, 1}}},
		"AV1, empty element":      {packetize.AV1, payloads{{0x20, 0, 0x30, 1}}},
		"AV1, endless size":       {packetize.AV1, payloads{append([]byte{0x00}, bytes.Repeat([]byte{0x80}, 9)...)}},
		"AV1, not continued":      {packetize.AV1, payloads{{0x50, 0x30, 1}, {0x10, 0x30, 1}}},
		"AV1, continues nothing":  {packetize.AV1, payloads{{0x90, 0x30, 1}}},
		"AV1, never ends":         {packetize.AV1, payloads{{0x50, 0x30, 1}}},
		"AV1, late sequence":      {packetize.AV1, payloads{{0x10, 0x30, 1}, {0x18, 0x30, 1}}},
		"AV1, with its size":      {packetize.AV1, payloads{{0x10, 0x32, 1, 1}}},
		"AV1, delimiter":          {packetize.AV1, payloads{{0x10, 0x10}}},
		"AV1, extension cut":      {packetize.AV1, payloads{{0x10, 0x34}}},
		"Opus, two packets":       {packetize.Opus, payloads{{1}, {2}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := packetizetest.Join(c.codec, c.payloads); !errors.Is(err, packetizetest.ErrPayload) {
				t.Errorf("%x, %v", got, err)
			}
		})
	}
	if _, err := packetizetest.Join(0, nil); !errors.Is(err, packetize.ErrCodec) {
		t.Errorf("no codec: %v", err)
	}
}

func TestCanonical(t *testing.T) {
	for name, c := range map[string]struct {
		codec      packetize.Codec
		data, want []byte
	}{
		"H.264": {
			packetize.H264,
			[]byte{0, 0, 1, 9, 0xf0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 12, 0xff, 0, 0, 1, 0x65, 2, 0, 0},
			[]byte{0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65, 2},
		},
		"AV1":           {packetize.AV1, []byte{0x12, 0, 0x32, 0x81, 0x00, 7, 0x7a, 1, 0, 0x20, 1}, []byte{0x32, 1, 7, 0x22, 1, 1}},
		"VP8, as it is": {packetize.VP8, []byte{1, 2}, []byte{1, 2}},
	} {
		got, err := packetizetest.Canonical(c.codec, c.data)
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %x, %v, want %x", name, got, err, c.want)
		}
	}
	for _, data := range [][]byte{{0x36}, {0x32}, {0x32, 2, 1}, append([]byte{0x32}, bytes.Repeat([]byte{0xff}, 9)...)} {
		if got, err := packetizetest.Canonical(packetize.AV1, data); !errors.Is(err, packetizetest.ErrClip) {
			t.Errorf("%x: %x, %v", data, got, err)
		}
	}
}

// FuzzJoin gives any codec any payloads: nothing but an error may come of it.
func FuzzJoin(f *testing.F) {
	f.Add(uint8(packetize.H264), []byte{0x7c, 0x85, 1}, []byte{0x7c, 0x45, 2})
	f.Add(uint8(packetize.VP9), []byte{0x0a, 0x38, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte{0x04, 1})
	f.Add(uint8(packetize.AV1), []byte{0x68, 1, 0x08, 0x30, 1}, []byte{0x90, 1})
	f.Fuzz(func(t *testing.T, codec uint8, one, two []byte) {
		for _, p := range []payloads{{one}, {one, two}, {}} {
			before := bytes.Clone(one)
			_, _ = packetizetest.Join(packetize.Codec(codec), p)
			if !bytes.Equal(before, one) {
				t.Fatal("a payload was written to")
			}
		}
	})
}
