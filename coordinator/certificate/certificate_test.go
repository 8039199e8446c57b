package certificate

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/certificate/certificatetest"
)

// opened is a pair of files that is followed by hand.
type opened struct {
	*Files
	*certificatetest.Mount
	t    *testing.T
	said bytes.Buffer
	now  time.Time
}

func open(t *testing.T, p certificatetest.Pair) *opened {
	t.Helper()
	o := &opened{t: t, Mount: certificatetest.NewMount(t, p), now: time.Now()}
	f, err := Open(o.Cert, o.Key, slog.New(slog.NewTextHandler(&o.said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	o.Files = f
	return o
}

// tick reads the files n times.
func (o *opened) tick(n int) {
	for range n {
		o.now = o.now.Add(Period)
		o.refresh(o.now)
	}
}

func (o *opened) shows(name string) {
	o.t.Helper()
	c, err := o.GetCertificate(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	if names := Names(c.Leaf); len(names) != 1 || names[0] != name {
		o.t.Errorf("shows %v, want %s; log:\n%s", names, name, &o.said)
	}
}

// logged counts the lines that hold the text.
func (o *opened) logged(text string) int { return strings.Count(o.said.String(), text) }

func year() time.Time { return time.Now().Add(365 * 24 * time.Hour) }

func TestFollowsASwappedLink(t *testing.T) {
	o := open(t, certificatetest.New(t, "one.example.org", year()))
	o.tick(3)
	o.shows("one.example.org")
	o.Swap(certificatetest.New(t, "two.example.org", year()))
	o.tick(1)
	o.shows("one.example.org") // seen once, it may still be changing
	o.tick(1)
	o.shows("two.example.org")
	if !o.Allows("TWO.example.org") || o.Allows("one.example.org") || o.Allows("") || o.Allows("two.example.org:443") {
		t.Error("Allows does not go by the certificate")
	}
	o.Swap(certificatetest.New(t, "192.0.2.7", year()))
	o.tick(2)
	o.shows("192.0.2.7")
	if !o.Allows("192.0.2.7") || o.Allows("192.0.2.8") {
		t.Error("Allows does not go by the certificate's address")
	}
	if n := o.logged("certificate changed"); n != 2 || o.failures.Load() != 0 {
		t.Errorf("%d changes logged, %d failures:\n%s", n, o.failures.Load(), &o.said)
	}
}

// Each of these leaves the old certificate in place, is told once, and does not
// stand in the way of the next good one.
func TestBrokenPairsAreNotTaken(t *testing.T) {
	good := certificatetest.New(t, "new.example.org", year())
	other := certificatetest.New(t, "other.example.org", year())
	for name, test := range map[string]struct {
		pair certificatetest.Pair
		says string
	}{
		"key of another": {certificatetest.Pair{Cert: good.Cert, Key: other.Key}, "private key does not match"},
		"cut chain":      {good.Half(), "cut off"},
		"cut key":        {certificatetest.Pair{Cert: good.Cert, Key: good.Key[:60]}, "cut off"},
		"empty":          {certificatetest.Pair{}, "no PEM block"},
		"exchanged":      {certificatetest.Pair{Cert: good.Key, Key: good.Cert}, "no PEM block"},
		"nonsense":       {certificatetest.Pair{Cert: []byte("hello"), Key: good.Key}, "no PEM block"},
		"expired":        {certificatetest.New(t, "new.example.org", time.Now().Add(-time.Minute)), "has expired"},
		"too large":      {certificatetest.Pair{Cert: make([]byte, maxFile+1), Key: good.Key}, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, certificatetest.New(t, "old.example.org", year()))
			o.Swap(test.pair)
			o.tick(1)
			if o.logged("ERROR") != 0 {
				t.Errorf("told at first sight, when it may be half-written: %s", &o.said)
			}
			o.tick(5)
			o.shows("old.example.org")
			if o.logged("not taken") != 1 || o.logged(test.says) != 1 || o.logged("remedy=") != 1 {
				t.Errorf("want one error that says %q:\n%s", test.says, &o.said)
			}
			want := Status{Name: o.Cert, Expires: o.Current().Leaf.NotAfter, Failures: 1}
			if got := o.Status(); len(got) != 1 || got[0] != want {
				t.Errorf("status %v, want %v", got, want)
			}
			o.Swap(good)
			o.tick(2)
			o.shows("new.example.org")
		})
	}
}

func TestPlainWrites(t *testing.T) {
	o := open(t, certificatetest.New(t, "old.example.org", year()))
	next := certificatetest.New(t, "new.example.org", year())
	for _, err := range []error{os.Remove(o.Key), os.Remove(o.Cert), os.WriteFile(o.Cert, next.Cert, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	o.tick(4)
	o.shows("old.example.org")
	if o.logged("not taken") != 1 || o.logged("no such file") != 1 {
		t.Errorf("a missing key is told as:\n%s", &o.said)
	}
	if err := os.WriteFile(o.Key, next.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	o.tick(2)
	o.shows("new.example.org")
}

func TestNotYetValid(t *testing.T) {
	o := open(t, certificatetest.New(t, "old.example.org", year()))
	o.now = o.now.Add(-2 * time.Hour) // as on a machine whose clock is late
	o.Swap(certificatetest.New(t, "new.example.org", year()))
	o.tick(2)
	o.shows("old.example.org")
	if o.logged("is the clock of this machine right?") != 1 {
		t.Errorf("told as:\n%s", &o.said)
	}
}

func TestEndIsToldOnceADay(t *testing.T) {
	o := open(t, certificatetest.New(t, "old.example.org", time.Now().Add(60*24*time.Hour)))
	o.tick(1)
	if o.said.Len() > 0 {
		t.Errorf("60 days ahead: %s", &o.said)
	}
	o.now = o.now.Add(47 * 24 * time.Hour)
	o.tick(10)
	if n := o.logged("expires soon"); n != 1 {
		t.Errorf("13 days ahead it is told %d times", n)
	}
	o.now = o.now.Add(25 * time.Hour)
	o.tick(10)
	if n := o.logged("expires soon"); n != 2 {
		t.Errorf("a day later it was told %d times", n)
	}
	o.now = o.now.Add(20 * 24 * time.Hour)
	o.tick(1)
	if o.logged("has expired, browsers refuse it") != 1 {
		t.Errorf("after its end:\n%s", &o.said)
	}
	// What is there is dead: even an expired one is as good, and is followed.
	o.Swap(certificatetest.New(t, "new.example.org", time.Now().Add(-time.Minute)))
	o.tick(2)
	o.shows("new.example.org")
}

func TestNotice(t *testing.T) {
	now := time.Now()
	for life, want := range map[time.Duration]time.Duration{
		90 * 24 * time.Hour: 14 * 24 * time.Hour,
		8 * 24 * time.Hour:  2 * 24 * time.Hour,
	} {
		if got := Notice(&x509.Certificate{NotBefore: now, NotAfter: now.Add(life)}); got != want {
			t.Errorf("of a life of %s: %s, want %s", life, got, want)
		}
	}
}

func TestRunFollowsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair, next := certificatetest.New(t, "old.example.org", year()), certificatetest.New(t, "new.example.org", year())
		m := certificatetest.NewMount(t, pair)
		f, err := Open(m.Cert, m.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		m.Swap(next)
		time.Sleep(2*Period + time.Second)
		if names := Names(f.Current().Leaf); names[0] != "new.example.org" {
			t.Errorf("after two periods it shows %v", names)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	m := certificatetest.NewMount(t, certificatetest.New(t, "a.example.org", year()))
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ cert, key, says string }{
		"missing": {m.Cert, "missing.pem", "missing.pem"},
		"swapped": {m.Key, m.Cert, "no PEM block"},
		"folder":  {filepath.Dir(m.Cert), m.Key, "is no file"},
		"pipe":    {pipe, m.Key, "is no file"},
	} {
		if _, err := Open(test.cert, test.key, nil); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v does not say %q", name, err, test.says)
		}
	}
	if _, err := Open("/dev/null/x", m.Key, nil); err == nil || !strings.Contains(err.Error(), "name two PEM files") {
		t.Errorf("no remedy in %v", err)
	}
	expired := certificatetest.NewMount(t, certificatetest.New(t, "a.example.org", time.Now().Add(-time.Minute)))
	if _, err := Open(expired.Cert, expired.Key, nil); err != nil {
		t.Errorf("an expired one is all there is: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	pair := certificatetest.New(f, "a.example.org", year())
	f.Add(pair.Cert, pair.Key)
	f.Add(pair.Half().Cert, pair.Key)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"), []byte("-----BEGIN -----"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		c, err := parse(content{cert, key})
		if err == nil && (c.Leaf == nil || len(c.Certificate) != bytes.Count(cert, []byte("-----BEGIN CERTIFICATE-----"))) {
			t.Errorf("%d certificates of %q", len(c.Certificate), cert)
		}
	})
}
