package signal

import (
	"slices"
	"testing"
)

func TestShownURLs(t *testing.T) {
	got := ShownURLs([]string{"turn::30478?transport=udp", "turns::5349?transport=tcp", "turn:[::1]:3478?transport=udp", "turn:10.0.0.1:3478?transport=udp", "turn"})
	want := []string{
		"turn:HOST-OF-THE-PAGE:30478?transport=udp", "turns:HOST-OF-THE-PAGE:5349?transport=tcp", "turn:[::1]:3478?transport=udp",
		"turn:10.0.0.1:3478?transport=udp", "turn",
	}
	if !slices.Equal(got, want) {
		t.Errorf("shown: %q, want %q", got, want)
	}
}
