package acme

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/certificate"
)

// Times between attempts to get a first certificate. Each attempt may cost two
// failed validations, of which Let's Encrypt allows five an hour and name
// (letsencrypt.org/docs/rate-limits). The manager itself renews.
const (
	firstPause   = 5 * time.Minute
	longestPause = time.Hour
	reminder     = 24 * time.Hour
)

// Run gets the certificates that are missing, and watches over all of them,
// until ctx ends. While the authority is at work it returns up to five seconds
// later. Afterwards no request to the authority is made; a timer of autocert for
// the next renewal stays behind, and does nothing.
func (i *Issuer) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, i.witness.close)
	defer stop()
	defer i.witness.close()
	var all sync.WaitGroup
	for _, d := range i.order {
		all.Go(func() { i.watch(ctx, d) })
	}
	all.Wait()
	return nil
}

// watch gets the certificate of one domain and looks after it until ctx ends.
func (i *Issuer) watch(ctx context.Context, d *domain) {
	pause := firstPause
	for ctx.Err() == nil && !d.ready.Load() {
		wait := time.Duration(0)
		if cert, err := i.get(d); err == nil {
			i.show(d, cert)
		} else if ctx.Err() == nil {
			wait = pause/2 + rand.N(pause/2)
			pause = min(2*pause, longestPause)
			i.fail(d, err, wait)
		}
		sleep(ctx, wait)
	}
	for ctx.Err() == nil {
		sleep(ctx, i.lookout)
		i.look(d, time.Now())
	}
}

// sleep waits until ctx ends or d has passed.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// show lets visitors have a first certificate.
func (i *Issuer) show(d *domain, cert *tls.Certificate) {
	d.expires.Store(cert.Leaf.NotAfter.Unix())
	d.ready.Store(true)
	i.witness.last(d.name) // one way of two to prove the domain may have failed
	i.log.Info("certificate is there", "domain", d.name, "issuer", cert.Leaf.Issuer.String(), "expires", cert.Leaf.NotAfter)
}

// fail tells why there is no certificate. What the authority said about it is
// often all there is to go by, and not part of the error.
func (i *Issuer) fail(d *domain, err error, wait time.Duration) {
	d.failures.Add(1)
	p := i.witness.last(d.name)
	i.log.Error("no certificate", "domain", d.name, "cause", err, "authority", p.String(), "remedy", p.remedy(), "again", wait.Round(time.Second))
}

// look tells of a renewal, of one that failed, and of an end that nears.
func (i *Issuer) look(d *domain, now time.Time) {
	cert, err := i.get(d)
	if err != nil {
		return // cannot be, once there was one
	}
	if end := cert.Leaf.NotAfter.Unix(); d.expires.Swap(end) != end {
		d.warned = time.Time{}
		i.log.Info("certificate renewed", "domain", d.name, "expires", cert.Leaf.NotAfter)
	}
	if p := i.witness.last(d.name); p != (problem{}) {
		d.failures.Add(1)
		i.log.Warn("renewal meets a problem", "domain", d.name, "expires", cert.Leaf.NotAfter, "authority", p.String(), "remedy", p.remedy())
	}
	left := cert.Leaf.NotAfter.Sub(now)
	if left > certificate.Notice(cert.Leaf) || now.Sub(d.warned) < reminder {
		return
	}
	d.warned = now
	i.log.Warn("certificate expires soon", "domain", d.name, "expires", cert.Leaf.NotAfter, "remedy", "look for the renewals that failed in this log")
}

// retry is acme.Client.RetryBackoff. Requests that the authority limits are made
// again much later, by watch or the manager.
func retry(n int, _ *http.Request, res *http.Response) time.Duration {
	const attempts = 6
	if n > attempts || res.StatusCode == http.StatusTooManyRequests {
		return -1
	}
	pause := 50 * time.Millisecond << n
	return pause/2 + rand.N(pause/2)
}
