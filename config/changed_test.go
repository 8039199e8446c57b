package config

import (
	"slices"
	"testing"
	"time"
)

func TestChanged(t *testing.T) {
	load := func(set ...string) Config {
		cfg, err := Load(Sources{Set: set})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	a := load()
	if keys := Changed(a, load()); len(keys) != 0 {
		t.Errorf("the same differs in %s", keys)
	}
	b := load("coordinator.signIn.oidc.admins=me@example.org", "coordinator.limits.pages=7", "log.level=debug",
		"emulator.libretro.cores.list.nes.scale=3", "secrets.turn=0123456789abcdef0")
	want := []string{"coordinator.signIn.oidc.admins", "coordinator.limits.pages", "emulator.libretro.cores.list", "secrets.turn", "log.level"}
	if keys := Changed(a, b); !slices.Equal(keys, want) {
		t.Errorf("differ in %s, want %s", keys, want)
	}
	b = a
	b.Worker.Rooms.Grace += time.Second
	if keys := Changed(b, a); !slices.Equal(keys, []string{"worker.rooms.grace"}) {
		t.Errorf("differ in %s", keys)
	}
}
