package seal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pion/srtp/v2"
)

// contexts are pion's two ends with the same keys.
func contexts(t *testing.T, p Profile) (sender, receiver *srtp.Context) {
	t.Helper()
	key, salt := secrets(p)
	for _, c := range []**srtp.Context{&sender, &receiver} {
		var err error
		if *c, err = srtp.CreateContext(key, salt, srtp.ProtectionProfile(p)); err != nil {
			t.Fatal(err)
		}
	}
	return sender, receiver
}

// Over three rollovers pion seals every packet to the same bytes and opens ours
// to what went in. Most payloads are short, to keep the test quick; header
// lengths and payloads change from packet to packet.
func TestSameAsPion(t *testing.T) {
	const first, packets = 65000, 200_500
	for _, p := range profiles() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			s := newSealer(t, p)
			sender, receiver := contexts(t, p)
			random := rand.New(rand.NewPCG(1, uint64(p)))
			payload := noise(2, 1200)
			ours, plain, opened := make([]byte, 1500), make([]byte, 1500), make([]byte, 1500)
			var theirs []byte
			for index := uint64(first); index < first+packets; index++ {
				header, size := headerMin+4*random.IntN(4), random.IntN(64)
				if header == 16 {
					header = 20 // an extension block with at least one element
				}
				if index%512 == 0 {
					size = 1 + random.IntN(len(payload))
				}
				body := payload[random.IntN(len(payload)-size+1):][:size]
				put(ours, header, index)
				copy(plain, ours[:header])
				copy(plain[header:], body)
				n, err := s.Seal(ours, header, body, index)
				if err != nil {
					t.Fatal(err)
				}
				if theirs, err = sender.EncryptRTP(theirs[:0], plain[:header+size], nil); err != nil || !bytes.Equal(theirs, ours[:n]) {
					t.Fatalf("index %d: pion seals otherwise: %v\n%x\n%x", index, err, theirs, ours[:n])
				}
				back, err := receiver.DecryptRTP(opened[:0], ours[:n], nil)
				if err != nil || !bytes.Equal(back, plain[:header+size]) {
					t.Fatalf("index %d: pion opens otherwise: %v", index, err)
				}
			}
		})
	}
}

// What pion sealed, Open reads.
func TestOpensPions(t *testing.T) {
	for _, p := range profiles() {
		sender, _ := contexts(t, p)
		const header = 24
		for index := uint64(65530); index < 65545; index++ {
			plain := make([]byte, header+100)
			put(plain, header, index)
			copy(plain[header:], fmt.Sprint("packet ", index))
			packet, err := sender.EncryptRTP(nil, plain, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := newSealer(t, p).Open(make([]byte, 100), packet, header, index)
			if err != nil || !bytes.Equal(got, plain[header:]) {
				t.Fatalf("%v: index %d: %q, %v", p, index, got, err)
			}
		}
	}
}
