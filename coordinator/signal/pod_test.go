package signal

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

// uids are of pods.
const (
	uidA = "0b7e2a51-9a53-4c0e-9c7e-0d1e5a3f9b11"
	uidB = "9d0f6a8e-33a4-4a2b-8f0c-5c1b9f6f2c22"
)

func TestPodPart(t *testing.T) {
	a, b := PodPart(uidA), PodPart(uidB)
	if a == b || len(a) != podLength || a != PodPart(uidA) || PodPart("") != "" {
		t.Errorf("parts %q, %q, %q", a, b, PodPart(""))
	}
	// Workers and coordinators of different versions must make the same of a UID.
	if want := "p7pieh5wrr"; a != want {
		t.Errorf("the part of %s is %q, not %q", uidA, a, want)
	}
}

func TestWorkerIDs(t *testing.T) {
	a, b := PodPart(uidA), PodPart(uidB)
	mine, free := NewWorkerID(a), NewWorkerID("")
	if !ValidID(mine) || !ValidID(free) || mine == NewWorkerID(a) || len(free) != roomIDLength {
		t.Errorf("ids %q and %q", mine, free)
	}
	for _, tt := range []struct {
		part, id string
		want     bool
	}{
		{a, mine, true},
		{b, mine, false},
		{"", mine, false},
		{a, free, false},
		{"", free, false},
		{"", "pod--x", false},
		{a, podMark + a, false},
		{a, podMark + a + "-", false},
		{a, podMark + a + "x-y", false},
		{a, a + "-x", false},
		{a, podMark + a + "-X", false},
		{a, podMark + a + "-" + strings.Repeat("x", maxID), false},
		{a, podMark + a + "-x", true},
	} {
		if got := WorkerOf(tt.part, tt.id); got != tt.want {
			t.Errorf("WorkerOf(%q, %q) = %v", tt.part, tt.id, got)
		}
	}
}

func TestRoomIDs(t *testing.T) {
	a, b := PodPart(uidA), PodPart(uidB)
	mine, free := NewRoomID(a), NewRoomID("")
	if !ValidRoomID(mine) || !ValidRoomID(free) || mine == NewRoomID(a) {
		t.Errorf("ids %q and %q", mine, free)
	}
	for _, tt := range []struct {
		part, id string
		want     bool
	}{
		{a, mine, true}, {b, mine, false}, {"", mine, true}, {"", free, true}, {a, free, false}, {a, a, false}, {"", "", false},
	} {
		if got := RoomOf(tt.part, tt.id); got != tt.want {
			t.Errorf("RoomOf(%q, %q) = %v", tt.part, tt.id, got)
		}
	}
}

// jwt is a token whose claims are a text.
func jwt(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".AAAA"
}

func TestTokenPod(t *testing.T) {
	for token, want := range map[string]string{
		jwt(`{"kubernetes.io":{"pod":{"name":"w","uid":"` + uidA + `"}}}`):               uidA,
		jwt(`{"kubernetes.io":{"node":{"uid":"n"}}}`):                                    "",
		jwt(`{"kubernetes.io":{"pod":{"uid":7}}}`):                                       "",
		jwt(`{"kubernetes.io":{"pod":{"uid":"` + strings.Repeat("u", maxUID+1) + `"}}}`): "",
		jwt(`{`):     "",
		"e30.e30":    "",
		"a.b.c":      "",
		"":           "",
		"e30.e3!.AA": "",
		jwt(`{"kubernetes.io":{"pod":{"uid":"` + uidA + `"}}}` + strings.Repeat(" ", MaxJWT)): "",
	} {
		if got := TokenPod(token); got != want {
			t.Errorf("%.80q is of pod %q, want %q", token, got, want)
		}
	}
}

// Whatever a token says, the ids that are made of it are of its pod, and of no
// other's.
func FuzzTokenPod(f *testing.F) {
	f.Add(jwt(`{"kubernetes.io":{"pod":{"name":"w","uid":"`+uidA+`"}}}`), NewID())
	f.Add(jwt(`{"kubernetes.io":{"pod":{"uid":"\u0000"}}}`), "pod-"+PodPart(uidA)+"-a")
	f.Add("..", "pod--")
	f.Fuzz(func(t *testing.T, token, id string) {
		uid := TokenPod(token)
		part := PodPart(uid)
		if len(uid) > maxUID || (uid == "") != (part == "") {
			t.Fatalf("uid %q, part %q", uid, part)
		}
		worker, room := NewWorkerID(part), NewRoomID(part)
		if !ValidID(worker) || WorkerOf(part, worker) != (part != "") || !RoomOf(part, room) {
			t.Errorf("ids %q and %q of %q", worker, room, uid)
		}
		of := slices.DeleteFunc([]string{part, PodPart(uidA), PodPart(uidB)}, func(p string) bool { return !WorkerOf(p, id) })
		if len(slices.Compact(of)) > 1 || len(of) > 0 && !ValidID(id) {
			t.Errorf("%q is of %q", id, of)
		}
	})
}
