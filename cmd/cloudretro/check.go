package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/cloudretro/cloudretro/config"
	checks "github.com/cloudretro/cloudretro/turn/check"
)

// checkArguments are those of `check turn`.
type checkArguments struct {
	turn       bool // what to check was said
	url        string
	secret     string
	user       string
	password   string
	workerText string
	worker     netip.AddrPort
	ca         string
	insecure   bool
	timeout    time.Duration
	duration   time.Duration
	bitrate    int
	json       bool
}

// register adds the flags.
func (a *checkArguments) register(flags *flag.FlagSet) {
	flags.StringVar(&a.url, "url", "", "")
	flags.StringVar(&a.secret, "secret", "", "")
	flags.StringVar(&a.user, "user", "", "")
	flags.StringVar(&a.password, "password", "", "")
	flags.StringVar(&a.workerText, "worker", "", "")
	flags.StringVar(&a.ca, "ca", "", "")
	flags.BoolVar(&a.insecure, "insecure", false, "")
	flags.DurationVar(&a.timeout, "timeout", 0, "")
	flags.DurationVar(&a.duration, "duration", 0, "")
	flags.IntVar(&a.bitrate, "bitrate", 0, "")
	flags.BoolVar(&a.json, "json", false, "")
}

// complete refuses what cannot be checked.
func (a *checkArguments) complete() error {
	switch {
	case !a.turn:
		return usageError{"what to check? There are: check turn --url turn:host:port, and check kubernetes"}
	case a.url == "":
		return usageError{"check turn needs --url turn:host:port, as turn.listeners or coordinators name it"}
	case a.secret != "" && a.user != "":
		return usageError{"--secret or --user, not both"}
	case a.ca != "" && a.insecure:
		return usageError{"--ca or --insecure, not both"}
	case a.workerText == "":
		return nil
	}
	var err error
	if a.worker, err = netip.ParseAddrPort(a.workerText); err != nil {
		return usageError{fmt.Sprintf("--worker %q: want IP:PORT: %v", a.workerText, err)}
	}
	return nil
}

// config is what package check takes. Without a credential on the command line
// it is the configuration's secret, none if that has none.
func (a checkArguments) config(cfg config.Config) (checks.Config, error) {
	out := checks.Config{
		URL: a.url, Secret: a.secret, User: a.user, Password: a.password, Worker: a.worker,
		Insecure: a.insecure, Timeout: a.timeout, Duration: a.duration, Bitrate: a.bitrate,
	}
	if out.Secret == "" && out.User == "" {
		out.Secret = turnSecrets(cfg)[0]
	}
	if a.ca == "" {
		return out, nil
	}
	pem, err := os.ReadFile(a.ca)
	if err != nil {
		return out, usageError{"--ca: " + err.Error()}
	}
	out.RootCAs = x509.NewCertPool()
	if !out.RootCAs.AppendCertsFromPEM(pem) {
		return out, usageError{fmt.Sprintf("--ca %s: no certificate in PEM form is in it", a.ca)}
	}
	return out, nil
}

// checkTURN checks a TURN server and prints each leg as it is over, or all of
// them as JSON.
func (p program) checkTURN(ctx context.Context, a checkArguments, cfg config.Config) error {
	what, err := a.config(cfg)
	if err != nil {
		return err
	}
	each := p.printLeg
	if a.json {
		each = nil
	}
	report, err := checks.Run(ctx, what, each)
	if err != nil {
		return usageError{err.Error()}
	}
	if a.json {
		if err := p.printReport(report); err != nil {
			return err
		}
	}
	if leg, failed := report.Failed(); failed {
		return fmt.Errorf("check turn: %s failed", leg.Name)
	}
	return nil
}

// printLeg prints a leg for a person.
func (p program) printLeg(l checks.Leg) {
	mark := map[checks.State]string{checks.Passed: "✓", checks.Failed: "✗", checks.Noted: "•"}[l.State]
	fmt.Fprintf(p.stdout, "%s %-8s %7.1f ms  %s\n", mark, l.Name, milliseconds(l.Took), orElseText(l.Found, l.Cause))
	if l.Found != "" && l.Cause != "" {
		fmt.Fprintf(p.stdout, "%23s%s\n", "", l.Cause)
	}
	if l.Remedy != "" {
		fmt.Fprintf(p.stdout, "%23s%s\n", "→ ", l.Remedy)
	}
}

func orElseText(text, other string) string {
	if text != "" {
		return text
	}
	return other
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// jsonLeg and jsonData are the report for a program; times are in milliseconds.
type jsonLeg struct {
	Leg    string       `json:"leg"`
	State  checks.State `json:"state"`
	Took   float64      `json:"ms"`
	Found  string       `json:"found,omitempty"`
	Code   int          `json:"code,omitempty"`
	Cause  string       `json:"cause,omitempty"`
	Remedy string       `json:"remedy,omitempty"`
}

type jsonData struct {
	Sent       int     `json:"sent"`
	Answered   int     `json:"answered"`
	Loss       float64 `json:"loss"` // 0 to 1
	Median     float64 `json:"median_ms"`
	P95        float64 `json:"p95_ms"`
	P99        float64 `json:"p99_ms"`
	Longest    float64 `json:"longest_ms"`
	Throughput float64 `json:"bits_per_second"`
}

// printReport prints all legs as one JSON object.
func (p program) printReport(r checks.Report) error {
	_, failed := r.Failed()
	out := struct {
		URL  string    `json:"url"`
		Well bool      `json:"well"`
		Legs []jsonLeg `json:"legs"`
		Data *jsonData `json:"data,omitempty"`
	}{URL: r.URL, Well: !failed}
	for _, l := range r.Legs {
		out.Legs = append(out.Legs, jsonLeg{l.Name, l.State, milliseconds(l.Took), l.Found, l.Code, l.Cause, l.Remedy})
	}
	if d := r.Data; d != nil {
		out.Data = &jsonData{
			d.Sent, d.Answered, d.Loss(), milliseconds(d.Median), milliseconds(d.P95), milliseconds(d.P99), milliseconds(d.Longest), d.Throughput,
		}
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return p.print(string(text) + "\n")
}
