package seal

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Key derivation: RFC 3711 appendix B.3 (AES-128) and RFC 6188 section 7.2 to
// 7.4 (AES-256). The published vectors have 112-bit salts.
func TestDeriveVectors(t *testing.T) {
	const (
		key128  = "E1F97A0D3E018BE0D64FA32C06DE4139"
		salt128 = "0EC675AD498AFEEBB6960B3AABE6"
		key256  = "f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6"
		salt256 = "3b04803de51ee7c96423ab5b78d2"
	)
	tests := []struct {
		name            string
		key, salt, want string
		label           byte
	}{
		{"128 cipher", key128, salt128, "C61E7A93744F39EE10734AFE3FF7A087", labelCipher},
		{"128 salt", key128, salt128, "30CBBC08863D8C85D49DB34A9AE1", labelSalt},
		{"128 auth", key128, salt128, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4", labelAuth},
		{"256 cipher", key256, salt256, "5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4", labelCipher},
		{"256 salt", key256, salt256, "fa31791685ca444a9e07c6c64e93", labelSalt},
		{"256 auth", key256, salt256, "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05", labelAuth},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := unhex(t, test.want)
			got, err := derive(test.label, unhex(t, test.key), unhex(t, test.salt), len(want))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %x, %v, want %x", got, err, want)
			}
		})
	}
}

func TestDeriveRefusesKey(t *testing.T) {
	if _, err := derive(labelCipher, make([]byte, 15), make([]byte, cmSalt), 16); err == nil {
		t.Fatal("a 15-byte key was taken")
	}
}

// Packets of RFC 7714 section 16.1.1 and 16.2.1: session keys are given, ROC is
// 0.
func TestGCMVectors(t *testing.T) {
	const (
		header  = "8040f17b 8041f8d3 5501a0b2"
		payload = "47616c6c696120657374206f6d6e6973206469766973612069 6e207061727465732074726573"
		salt    = "517569642070726f2071756f"
	)
	tests := []struct{ name, key, want string }{
		{"128", "000102030405060708090a0b0c0d0e0f", `f24de3a3fb34de6cacba861c9d7e4bca be633bd50d294e6f42a5f47a51c7d19b
			36de3adf8833899d7f27beb16a9152cf 765ee4390cce`},
		{"256", "000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f", `32b1de78a822fe12ef9f78fa332e33aa
			b18012389a58e2f3b50b2a0276ffae0f 1ba63799b87b7aa3db36dfffd6b0f9bb 7878d7a76c13`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g, err := newGCM(keys{cipher: unhex(t, test.key), salt: unhex(t, salt)}, 0x5501a0b2)
			if err != nil {
				t.Fatal(err)
			}
			plain, head := unhex(t, payload), unhex(t, header)
			dst := make([]byte, len(head)+len(plain)+gcmTag)
			copy(dst, head)
			g.seal(dst, len(head), plain, 0xf17b)
			if want := append(head, unhex(t, test.want)...); !bytes.Equal(dst, want) {
				t.Fatalf("sealed %x, want %x", dst, want)
			}
			got := make([]byte, len(plain))
			if !g.open(got, dst, len(head), 0xf17b) || !bytes.Equal(got, plain) {
				t.Fatalf("opened %x", got)
			}
		})
	}
}

// Keystream of RFC 3711 appendix B.2: SSRC and index 0, a payload of zeros is
// the keystream itself, of which the RFC gives the first and the last blocks.
func TestCounterVectors(t *testing.T) {
	c, err := newCounter(keys{
		cipher: unhex(t, "2B7E151628AED2A6ABF7158809CF4F3C"),
		salt:   unhex(t, "F0F1F2F3F4F5F6F7F8F9FAFBFCFD"),
		auth:   make([]byte, sha1Key),
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	stream := make([]byte, 0xff02*16)
	c.stream.xor(stream, make([]byte, len(stream)), 0)
	tests := []struct {
		block int
		want  string
	}{
		{0x0000, "E03EAD0935C95E80E166B16DD92B4EB4"},
		{0x0001, "D23513162B02D0F72A43A2FE4A5F97AB"},
		{0x0002, "41E95B3BB0A2E8DD477901E4FCA894C0"},
		{0xfeff, "EC8CDF7398607CB0F2D21675EA9EA1E4"},
		{0xff00, "362B7C3C6773516318A077D7FC5073AE"},
		{0xff01, "6A2CC3787889374FBEB4C81B17BA6C44"},
	}
	for _, test := range tests {
		if got := stream[test.block*16:][:16]; !bytes.Equal(got, unhex(t, test.want)) {
			t.Errorf("block %#x is %X, want %s", test.block, got, test.want)
		}
	}
}
