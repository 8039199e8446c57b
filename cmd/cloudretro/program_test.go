package main

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func everyRole() roles { return roles{true, true, true} }

func TestParse(t *testing.T) {
	tests := []struct {
		args string
		want arguments
	}{
		{"", arguments{roles: everyRole()}},
		{"--role=coordinator", arguments{roles: roles{coordinator: true}}},
		{"-role worker,turn", arguments{roles: roles{worker: true, turn: true}}},
		{"--config a.yaml --config b.yaml", arguments{roles: everyRole(), files: []string{"a.yaml", "b.yaml"}}},
		{"--set a=b --set=c=d", arguments{roles: everyRole(), set: []string{"a=b", "c=d"}}},
		{"config --config a.yaml", arguments{command: "config", roles: everyRole(), files: []string{"a.yaml"}}},
		{"--config a.yaml config", arguments{command: "config", roles: everyRole(), files: []string{"a.yaml"}}},
		{"config --defaults", arguments{command: "config", roles: everyRole(), defaults: true}},
		{"version", arguments{command: "version", roles: everyRole()}},
		{"health", arguments{command: "health", roles: everyRole()}},
		{"--help", arguments{command: "help"}},
		{"config -h", arguments{command: "help"}},
		{"help", arguments{command: "help", roles: everyRole()}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			got, err := parse(strings.Fields(tt.args))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("parse: %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--rolle=worker", "rolle"},
		{"--role=wroker", `"wroker"`},
		{"--role=", "coordinator, worker and turn"},
		{"play", `unknown command "play"`},
		{"config version", `"version" after "config"`},
		{"--config", "config"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			_, err := parse(strings.Fields(tt.args))
			if exitCode(err) != exitUsage || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "--help") {
				t.Errorf("parse: %v (exit code %d), want one that says %q", err, exitCode(err), tt.want)
			}
		})
	}
}

// output runs a command and returns what it prints.
func output(t *testing.T, environ []string, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	err := program{stdout: &out, stderr: &errs, environ: environ}.main(t.Context(), args)
	if errs.Len() > 0 {
		t.Errorf("on standard error: %s", &errs)
	}
	return out.String(), err
}

func TestCommandsThatPrint(t *testing.T) {
	const secret = "a-secret-of-32-characters-or-so"
	env := []string{"CLOUDRETRO_SECRETS_WORKER=" + secret, "CLOUDRETRO_WEBRTC_SINGLEPORT=1234"}
	tests := []struct {
		args string
		want []string
	}{
		{"--help", []string{"--role=", "--config FILE", "--set KEY=VALUE", "CLOUDRETRO_"}},
		{"version", []string{"cloudretro ", "go1."}},
		{"config", []string{"singlePort: 1234", "worker: '***'", "address: :8000"}},
		{"config --set webrtc.singlePort=77", []string{"singlePort: 77"}},
		{"config --defaults", []string{"# Page, API and WebSocket.", "singlePort: 8443"}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			text, err := output(t, env, strings.Fields(tt.args)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in:\n%s", want, text)
				}
			}
			if strings.Contains(text, secret) {
				t.Errorf("the secret shows:\n%s", text)
			}
		})
	}
}

func TestWrongConfigurationEndsEarly(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		args []string
		want []string
	}{
		{"unknown key", nil, []string{"--set", "coordinator.server.adress=:1"}, []string{"coordinator.server.adress", "coordinator.server.address"}},
		{"unknown variable", []string{"CLOUDRETRO_OPS_ADRESS=:1"}, nil, []string{"CLOUDRETRO_OPS_ADRESS", "CLOUDRETRO_OPS_ADDRESS"}},
		{"no file", nil, []string{"--config", "/nowhere.yaml"}, []string{"/nowhere.yaml", "no such file"}},
		{"no secret", nil, []string{"--role=coordinator"}, []string{"secrets.worker", "CLOUDRETRO_SECRETS_WORKER", "openssl rand"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := output(t, tt.env, tt.args...)
			if exitCode(err) != exitFailed {
				t.Fatalf("exit code %d for %v, want %d", exitCode(err), err, exitFailed)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{{nil, 0}, {errors.New("x"), 1}, {errors.Join(errors.New("x"), usageError{"y"}), 2}}
	for _, tt := range tests {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}
