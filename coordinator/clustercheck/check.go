// Package clustercheck finds out what an installation in a cluster of Kubernetes
// lacks, and says it in words: what is wrong, why, and what helps. It only reads.
// What it has no right to read it names and leaves out.
package clustercheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// State is how a finding is.
type State string

// States of a finding.
const (
	Passed State = "passed"
	Failed State = "failed"
	// Noted is what could not be looked at, or what is no fault but worth to know.
	Noted State = "noted"
)

// Finding is one thing that was looked at.
type Finding struct {
	Name   string // what, in a word or two
	State  State
	Found  string // what there was to see, in words; may be empty
	Cause  string // why it did not pass, in words
	Remedy string // what helps, in words; may be empty
}

// Report is all that was found.
type Report struct {
	Namespace string
	Findings  []Finding
}

// Failed is the first finding that failed; ok is false if none did.
func (r Report) Failed() (f Finding, ok bool) {
	for _, f := range r.Findings {
		if f.State == Failed {
			return f, true
		}
	}
	return Finding{}, false
}

// Settings are what of an installation's configuration says what it needs.
type Settings struct {
	CoordinatorService, WorkerService, TurnService string // "" turn = none
	Secrets                                        bool   // read from the cluster
	Audience                                       string // of tokens, "" = none are taken
	FreeSeats                                      int    // that the scaler keeps, 0 = off
	Workers                                        string // Deployment that it scales
	Gateway                                        bool   // the Gateway API is served
	ControllerName                                 string // of our GatewayClasses
	Prefixes                                       bool   // gates relay to prefixes of more than one address
}

// Config is what Run takes.
type Config struct {
	// Cluster that is looked at.
	Cluster *cluster.Cluster
	// Namespace of the installation. "" is where one is found: in the namespace
	// of Cluster, else in the only one that has it.
	Namespace string
	// Settings hold where the installation's own are not to be read.
	Settings Settings
	// Parse reads the installation's config.yaml. The error says what is wrong in it.
	Parse func(yaml []byte) (Settings, error)
	// Timeout of one request; 0 means 5 s.
	Timeout time.Duration
}

const defaultTimeout = 5 * time.Second

// limit bounds lists that the API server answers.
const limit = 500

// errStop says that nothing more can be found out.
var errStop = errors.New("nothing more can be found out")

// run is one check under way.
type run struct {
	Config
	namespace string
	report    Report
	each      func(Finding)
}

// Run looks at the installation and answers what it found; each, if not nil, is
// given every finding at once. It blocks until all has been looked at or ctx has
// ended.
func Run(ctx context.Context, cfg Config, each func(Finding)) Report {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if each == nil {
		each = func(Finding) {}
	}
	r := &run{Config: cfg, each: each}
	for _, step := range []func(context.Context) error{
		r.server, r.place, r.config, r.deployments, r.page, r.relay, r.slices, r.secrets, r.rights, r.reviews,
		r.autoscalers, r.network, r.gateways,
	} {
		if err := step(ctx); err != nil {
			break
		}
	}
	r.report.Namespace = r.namespace
	return r.report
}

// add takes a finding down.
func (r *run) add(f Finding) {
	r.report.Findings = append(r.report.Findings, f)
	r.each(f)
}

func (r *run) pass(name, format string, args ...any) {
	r.add(Finding{Name: name, State: Passed, Found: fmt.Sprintf(format, args...)})
}

func (r *run) fail(name, cause, remedy string) {
	r.add(Finding{Name: name, State: Failed, Cause: cause, Remedy: remedy})
}

func (r *run) note(name, cause, remedy string) {
	r.add(Finding{Name: name, State: Noted, Cause: cause, Remedy: remedy})
}

// trouble takes down that something could not be read; right is what is needed
// for it, like "list pods".
func (r *run) trouble(name, right string, err error) {
	if apierrors.IsForbidden(err) {
		r.note(name, "not looked at: "+r.missing(right), "ask for it, or run this as somebody who has it")
		return
	}
	r.fail(name, fmt.Sprintf("%s: %s", right, short(err.Error())), "try again; if it stays, look at the API server's log")
}

// missing names a right.
func (r *run) missing(right string) string {
	return fmt.Sprintf("the right to %s in namespace %s is missing", right, r.namespace)
}

// ask gives a request its time.
func ask[T any](ctx context.Context, r *run, request func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	return request(ctx)
}

// known is what the API server says of itself at a path.
func known[T any](ctx context.Context, r *run, path string) (*T, error) {
	body, err := ask(ctx, r, func(ctx context.Context) ([]byte, error) {
		return r.Cluster.API.REST().Get().AbsPath(path).SetHeader("Accept", "application/json").Do(ctx).Raw()
	})
	if err != nil {
		return nil, err
	}
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, fmt.Errorf("it answers %q", short(string(body)))
	}
	return &v, nil
}
