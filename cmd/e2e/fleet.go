package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// FleetOptions say how many of each role run; each has at least one.
type FleetOptions struct {
	Bin, Dir              string
	Coordinators, Workers int
	// Pages are host:port of coordinators; where there are none, they are chosen.
	Pages []string
	// Config is further environment of all, CoordinatorConfig of coordinators and
	// WorkerConfig of workers.
	Config, CoordinatorConfig, WorkerConfig map[string]string
}

// Fleet is an installation with several coordinators, each of which names the
// others as alternates, and several workers.
type Fleet struct {
	Coordinators, Workers []*Member
	log                   []*Process // all that ever ran
}

// Member is one process of a fleet, which may be killed and started again.
type Member struct {
	*Process
	URL   string // a coordinator's page
	Ops   string // host:port of its operators' door
	fleet *Fleet
	start func() (*Process, error)
}

// StartFleet runs an installation and returns when every coordinator lists games.
func StartFleet(ctx context.Context, o FleetOptions) (*Fleet, error) {
	f := &Fleet{}
	pages := slices.Clone(o.Pages)
	for len(pages) < o.Coordinators {
		port, err := freePort(false)
		if err != nil {
			return nil, err
		}
		pages = append(pages, fmt.Sprintf("127.0.0.1:%d", port))
	}
	common := map[string]string{
		"CLOUDRETRO_SECRETS_WORKER":                    "a-secret-for-the-tests-of-32-bytes",
		"CLOUDRETRO_WORKER_NETWORK_COORDINATORADDRESS": strings.Join(pages, ","),
		"CLOUDRETRO_LOG_LEVEL":                         "debug",
	}
	maps.Copy(common, o.Config)
	for i, page := range pages {
		others := slices.Delete(slices.Clone(pages), i, i+1)
		for j := range others {
			others[j] = "http://" + others[j]
		}
		env := maps.Clone(common)
		env["CLOUDRETRO_COORDINATOR_SERVER_ADDRESS"] = page
		env["CLOUDRETRO_COORDINATOR_ALTERNATES"] = strings.Join(others, ",")
		maps.Copy(env, o.CoordinatorConfig)
		m, err := f.launch(o, "coordinator", env)
		if err != nil {
			return nil, errors.Join(err, f.Stop())
		}
		m.URL = "http://" + page
		f.Coordinators = append(f.Coordinators, m)
	}
	for range o.Workers {
		env := maps.Clone(common)
		maps.Copy(env, o.WorkerConfig)
		m, err := f.launch(o, "worker", env)
		if err != nil {
			return nil, errors.Join(err, f.Stop())
		}
		f.Workers = append(f.Workers, m)
	}
	for _, m := range f.Coordinators {
		if err := f.awaitWorkers(ctx, m, o.Workers); err != nil {
			return nil, errors.Join(err, f.Stop())
		}
	}
	return f, nil
}

// launch starts one member at ports of its own.
func (f *Fleet) launch(o FleetOptions, role string, env map[string]string) (*Member, error) {
	_, media, probe, _, err := freePorts()
	if err != nil {
		return nil, err
	}
	ops, err := freePort(false)
	if err != nil {
		return nil, err
	}
	m := &Member{fleet: f, Ops: fmt.Sprintf("127.0.0.1:%d", ops)}
	env["CLOUDRETRO_OPS_ADDRESS"] = m.Ops
	env["CLOUDRETRO_WEBRTC_SINGLEPORT"] = fmt.Sprint(media)
	env["CLOUDRETRO_WORKER_SERVER_ADDRESS"] = fmt.Sprintf("127.0.0.1:%d", probe)
	list := append(os.Environ(), neverOverloaded)
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	m.start = func() (*Process, error) {
		return startCommand(role, o.Dir, list, o.Bin, "--role="+role)
	}
	return m, m.Start()
}

// Start runs the member, again after a Kill.
func (m *Member) Start() error {
	p, err := m.start()
	if err != nil {
		return err
	}
	m.Process = p
	m.fleet.log = append(m.fleet.log, p)
	return nil
}

// awaitWorkers returns when a coordinator has so many workers and their games.
func (f *Fleet) awaitWorkers(ctx context.Context, m *Member, workers int) error {
	want := fmt.Sprintf(`cloudretro_coordinator_workers{state="ready"} %d`, workers)
	s := &Stage{URL: m.URL, Processes: []*Process{m.Process}}
	if err := s.awaitGames(ctx); err != nil && !errors.Is(err, errSignIn) {
		return err
	}
	if err := await(func() bool { return strings.Contains(m.Metrics(), want) }, 10*time.Second); err != nil {
		return fmt.Errorf("%s lacks workers: %w\n%s", m.URL, err, f.Log())
	}
	return nil
}

// Metrics is what the member's operators' door tells, "" if it does not answer.
func (m *Member) Metrics() string {
	text, _ := get("http://" + m.Ops + "/metrics")
	return text
}

// API asks for a path under /api/v1 and decodes the answer.
func API[T any](m *Member, path string) (T, error) {
	var v T
	text, err := get(m.URL + "/api/v1" + path)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return v, fmt.Errorf("GET %s: %w: %s", path, err, text)
	}
	return v, nil
}

func get(url string) (string, error) {
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var b strings.Builder
	if _, err := io.Copy(&b, io.LimitReader(res.Body, 16<<20)); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: %s: %s", url, res.Status, b.String())
	}
	return b.String(), nil
}

// Log is what all processes printed so far.
func (f *Fleet) Log() string { return (&Stage{Processes: f.log}).Log() }

// Stop asks every process to end and reports those that did not end cleanly.
func (f *Fleet) Stop() error { return (&Stage{Processes: f.log}).Stop() }
