// Package certificate follows a TLS certificate that lies in two PEM files, so
// that whoever renews it need not restart the process. Any role may use it.
package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Period is how often the files are read. A change is taken when two readings
// agree, so after one to two periods.
const Period = 5 * time.Second

// Times at which an end that nears is told of.
const (
	longestNotice = 14 * 24 * time.Hour // a shorter life is told of in its last quarter
	reminder      = 24 * time.Hour
)

// Files is a certificate of two PEM files. Their content is compared, so a
// symbolic link that is swapped, which is how Kubernetes updates a mounted
// Secret, is seen like a write. New connections get the newest pair that was
// whole; what is broken or half-written is logged once and never shown. Methods
// may be called concurrently, Run once.
type Files struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	failures          atomic.Uint64

	mu     sync.Mutex // guards the following
	taken  content    // that current is of
	last   content    // as read the last time
	told   content    // that was logged as broken
	cause  string     // that was logged with it
	warned time.Time  // when the end was last told of
}

// Status is a certificate in numbers.
type Status struct {
	Name     string    // what it is known by: a file or a domain
	Expires  time.Time // zero while there is none
	Failures uint64    // changes that were not taken, or attempts to get one that failed
}

// content is what both files hold.
type content struct{ cert, key []byte }

func (c content) equal(o content) bool {
	return bytes.Equal(c.cert, o.cert) && bytes.Equal(c.key, o.key)
}

// Open reads a certificate, with its chain, and the key that belongs to it. A
// certificate that has expired is taken, as it is all there is; the log says so.
// Open starts nothing: Run follows the files. A nil log is silent.
func Open(certFile, keyFile string, log *slog.Logger) (*Files, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Files{certFile: certFile, keyFile: keyFile, log: log}
	read, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("%w; name two PEM files that this user may read", err)
	}
	pair, err := parse(read)
	if err != nil {
		return nil, fmt.Errorf("certificate %q and key %q: %w", certFile, keyFile, err)
	}
	f.taken, f.last = read, read
	f.current.Store(pair)
	return f, nil
}

// Run follows the files until ctx ends.
func (f *Files) Run(ctx context.Context) error {
	f.Refresh()
	tick := time.NewTicker(Period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.Refresh()
		case <-ctx.Done():
			return nil
		}
	}
}

// Current is the certificate to show, never nil; its Leaf is set. It is
// read-only.
func (f *Files) Current() *tls.Certificate { return f.current.Load() }

// GetCertificate shows the current certificate to every client, as
// tls.Config.GetCertificate.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.Current(), nil
}

// Allows says whether the certificate is for host, a name or an address.
func (f *Files) Allows(host string) bool { return f.Current().Leaf.VerifyHostname(host) == nil }

// Status is the certificate in numbers, named by its file.
func (f *Files) Status() []Status {
	return []Status{{Name: f.certFile, Expires: f.Current().Leaf.NotAfter, Failures: f.failures.Load()}}
}

// Refresh reads the files now, as Run does every Period. They are taken once they
// have changed and stay so for two readings: between the writes of two files, or
// in the middle of one, they are not what they are meant to be.
func (f *Files) Refresh() { f.refresh(time.Now()) }

func (f *Files) refresh(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.remind(now) }()
	read, err := f.read()
	settled := read.equal(f.last)
	f.last = read
	switch {
	case err == nil && read.equal(f.taken):
		f.told, f.cause = content{}, ""
		return
	case !settled:
		return
	}
	if err == nil {
		err = f.take(read, now)
	}
	if err == nil || read.equal(f.told) && f.cause == err.Error() {
		return
	}
	f.told, f.cause = read, err.Error()
	f.failures.Add(1)
	f.log.Error("new certificate not taken, the last one stays", "file", f.certFile, "key", f.keyFile, "cause", err,
		"expires", f.Current().Leaf.NotAfter, "remedy", "write a certificate, with its chain, and the key that belongs to it; both are read again by themselves")
}

// take shows what was read from now on, unless it is worse than what there is.
func (f *Files) take(read content, now time.Time) error {
	pair, err := parse(read)
	if err != nil {
		return err
	}
	if now.After(pair.Leaf.NotAfter) && now.Before(f.Current().Leaf.NotAfter) {
		return fmt.Errorf("it has expired on %s", pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	if now.Before(pair.Leaf.NotBefore) && now.Before(f.Current().Leaf.NotAfter) {
		return fmt.Errorf("it is not valid before %s; is the clock of this machine right?", pair.Leaf.NotBefore.Format(time.RFC3339))
	}
	f.taken, f.told, f.cause, f.warned = read, content{}, "", time.Time{}
	f.current.Store(pair)
	f.log.Info("certificate changed", "file", f.certFile, "names", Names(pair.Leaf), "expires", pair.Leaf.NotAfter)
	return nil
}

// remind tells, once a day, that the certificate ends soon.
func (f *Files) remind(now time.Time) {
	leaf := f.Current().Leaf
	left := leaf.NotAfter.Sub(now)
	if left > Notice(leaf) || now.Sub(f.warned) < reminder {
		return
	}
	f.warned = now
	const remedy = "renew it in the same files; they are read again by themselves"
	if left <= 0 {
		f.log.Error("certificate has expired, browsers refuse it", "file", f.certFile, "expired", leaf.NotAfter, "remedy", remedy)
		return
	}
	f.log.Warn("certificate expires soon", "file", f.certFile, "expires", leaf.NotAfter, "remedy", remedy)
}
