package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/klog/v2"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/clustercheck"
	"github.com/cloudretro/cloudretro/turn"
)

// clusterArguments are those of `check kubernetes`.
type clusterArguments struct {
	wanted     bool // this is what to check
	kubeconfig string
	namespace  string
	json       bool
}

// register adds the flags.
func (a *clusterArguments) register(flags *flag.FlagSet) {
	flags.StringVar(&a.kubeconfig, "kubeconfig", "", "")
	flags.StringVar(&a.namespace, "namespace", "", "")
	flags.BoolVar(&a.json, "json", false, "")
}

// checkCluster looks at an installation in a cluster and prints each finding at
// once, or all of them as JSON.
func (p program) checkCluster(ctx context.Context, a clusterArguments, cfg config.Config) error {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // what client-go has to say is among the findings
	file := kubeconfig(a, cfg, p.environ)
	c, err := cluster.Connect(cluster.Config{Kubeconfig: file, Namespace: a.namespace})
	switch {
	case errors.Is(err, cluster.ErrNoCluster):
		return errors.New("check kubernetes: which cluster? There is no --kubeconfig, no KUBECONFIG, no ~/.kube/config, and this is no pod with a service account")
	case err != nil:
		return fmt.Errorf("check kubernetes: %w; name another file with --kubeconfig", err)
	}
	defer c.Close()
	each := p.printFinding
	if a.json {
		each = nil
	}
	report := clustercheck.Run(ctx, clustercheck.Config{
		Cluster: c, Namespace: orElseText(a.namespace, cfg.Kubernetes.Namespace), Settings: clusterSettings(cfg), Parse: parseClusterConfig,
	}, each)
	if a.json {
		if err := p.printFindings(report); err != nil {
			return err
		}
	}
	if f, failed := report.Failed(); failed {
		return fmt.Errorf("check kubernetes: %s: %s", f.Name, f.Cause)
	}
	return nil
}

// kubeconfig is the file that says which cluster, as kubectl finds it: "" is the
// service account of a pod.
func kubeconfig(a clusterArguments, cfg config.Config, environ []string) string {
	if file := orElseText(a.kubeconfig, cfg.Kubernetes.Kubeconfig); file != "" {
		return file
	}
	of := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		of[name] = value
	}
	for _, file := range filepath.SplitList(of["KUBECONFIG"]) {
		if file != "" {
			return file
		}
	}
	if of["HOME"] == "" {
		return ""
	}
	file := filepath.Join(of["HOME"], ".kube", "config")
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// clusterSettings are what of cfg says what an installation needs.
func clusterSettings(cfg config.Config) clustercheck.Settings {
	k := cfg.Kubernetes
	return clustercheck.Settings{
		CoordinatorService: k.CoordinatorService, WorkerService: k.WorkerService, TurnService: k.TurnService,
		Secrets: k.Secrets, Audience: k.Token.Audience, FreeSeats: k.Scaler.FreeSeats, Workers: k.Scaler.Deployment,
		Gateway: k.Gateway.Enabled, ControllerName: k.Gateway.ControllerName,
		Prefixes: slices.ContainsFunc(cfg.Turn.Peers, func(text string) bool {
			peer, err := turn.ParsePeer(text)
			return err == nil && !peer.Prefix.IsSingleIP()
		}),
	}
}

// parseClusterConfig reads the config.yaml of an installation.
func parseClusterConfig(yaml []byte) (clustercheck.Settings, error) {
	dir, err := os.MkdirTemp("", "cloudretro-check-")
	if err != nil {
		return clustercheck.Settings{}, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, yaml, 0o600); err != nil {
		return clustercheck.Settings{}, err
	}
	cfg, err := config.Load(config.Sources{Files: []string{file}})
	if err != nil {
		return clustercheck.Settings{}, errors.New(strings.ReplaceAll(err.Error(), file, "config.yaml"))
	}
	return clusterSettings(cfg), nil
}

// printFinding prints one for a person.
func (p program) printFinding(f clustercheck.Finding) {
	mark := map[clustercheck.State]string{clustercheck.Passed: "✓", clustercheck.Failed: "✗", clustercheck.Noted: "•"}[f.State]
	fmt.Fprintf(p.stdout, "%s %-12s %s\n", mark, f.Name, orElseText(f.Found, f.Cause))
	if f.Found != "" && f.Cause != "" {
		fmt.Fprintf(p.stdout, "%15s%s\n", "", f.Cause)
	}
	if f.Remedy != "" {
		fmt.Fprintf(p.stdout, "%15s%s\n", "→ ", f.Remedy)
	}
}

// printFindings prints all of them as one JSON object.
func (p program) printFindings(r clustercheck.Report) error {
	type finding struct {
		Name   string             `json:"check"`
		State  clustercheck.State `json:"state"`
		Found  string             `json:"found,omitempty"`
		Cause  string             `json:"cause,omitempty"`
		Remedy string             `json:"remedy,omitempty"`
	}
	_, failed := r.Failed()
	out := struct {
		Namespace string    `json:"namespace"`
		Well      bool      `json:"well"`
		Findings  []finding `json:"findings"`
	}{Namespace: r.Namespace, Well: !failed}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, finding(f))
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return p.print(string(text) + "\n")
}
