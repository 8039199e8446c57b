package config

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Kubernetes is how a process uses the cluster that it runs in.
type Kubernetes struct {
	Enabled    bool   `yaml:"enabled"`
	Kubeconfig string `yaml:"kubeconfig"` // file, "" = the pod's own service account
	Namespace  string `yaml:"namespace"`  // "" = the pod's own, or that of kubeconfig
	// CoordinatorService, WorkerService and TurnService are names of Services.
	CoordinatorService string  `yaml:"coordinatorService"`
	WorkerService      string  `yaml:"workerService"`
	TurnService        string  `yaml:"turnService"` // "" = pages are told of no gate of the cluster
	Secrets            bool    `yaml:"secrets"`     // made, or read, in the cluster
	Token              Token   `yaml:"token"`
	Scaler             Scaler  `yaml:"scaler" live:"true"`
	Gateway            Gateway `yaml:"gateway"`
}

// Token is how workers prove themselves by their service account.
type Token struct {
	File           string `yaml:"file"`           // projected, "" = workers prove secrets.worker
	Audience       string `yaml:"audience"`       // "" = coordinators take no tokens
	ServiceAccount string `yaml:"serviceAccount"` // of the workers
}

// Scaler keeps places of workers free.
type Scaler struct {
	FreeSeats    int           `yaml:"freeSeats"` // 0 = off
	Deployment   string        `yaml:"deployment"`
	MinReplicas  int           `yaml:"minReplicas"`
	MaxReplicas  int           `yaml:"maxReplicas"`
	ScaleInDelay time.Duration `yaml:"scaleInDelay"`
}

// Gateway is the Gateway API as gates serve it.
type Gateway struct {
	Enabled        bool   `yaml:"enabled"`
	ControllerName string `yaml:"controllerName"` // of the GatewayClasses that are ours
	FirstPort      int    `yaml:"firstPort"`      // of those that gates listen at for Gateways
	Ports          int    `yaml:"ports"`          // how many of them there are
}

// kubernetes checks names, which the API server would refuse later.
func (v *validator) kubernetes(k Kubernetes) {
	if k.Namespace != "" {
		v.label("kubernetes.namespace", k.Namespace)
	}
	v.service("kubernetes.coordinatorService", k.CoordinatorService)
	v.service("kubernetes.workerService", k.WorkerService)
	if k.TurnService != "" {
		v.service("kubernetes.turnService", k.TurnService)
	}
	if k.Token.Audience != "" && k.Token.ServiceAccount == "" {
		v.add("kubernetes.token.serviceAccount", "is empty; name the service account of the workers, or empty kubernetes.token.audience")
	}
	between(v, "kubernetes.scaler.freeSeats", k.Scaler.FreeSeats, 0, 100_000)
	between(v, "kubernetes.scaler.minReplicas", k.Scaler.MinReplicas, 1, 10_000)
	between(v, "kubernetes.scaler.maxReplicas", k.Scaler.MaxReplicas, k.Scaler.MinReplicas, 10_000)
	between(v, "kubernetes.scaler.scaleInDelay", k.Scaler.ScaleInDelay, 0, 24*time.Hour)
	v.subdomain("kubernetes.scaler.deployment", k.Scaler.Deployment)
	between(v, "kubernetes.gateway.firstPort", k.Gateway.FirstPort, 1024, 65535)
	between(v, "kubernetes.gateway.ports", k.Gateway.Ports, 1, 65536-k.Gateway.FirstPort)
	domain, path, _ := strings.Cut(k.Gateway.ControllerName, "/")
	if len(validation.IsDNS1123Subdomain(domain)) > 0 || path == "" {
		v.add("kubernetes.gateway.controllerName", "%q is no domain and path, like cloudretro.dev/turn", k.Gateway.ControllerName)
	}
}

func (v *validator) label(key, name string) {
	if why := validation.IsDNS1123Label(name); len(why) > 0 {
		v.add(key, "%q: %s", name, why[0])
	}
}

func (v *validator) subdomain(key, name string) {
	if why := validation.IsDNS1123Subdomain(name); len(why) > 0 {
		v.add(key, "%q: %s", name, why[0])
	}
}

func (v *validator) service(key, name string) {
	if why := validation.IsDNS1035Label(name); len(why) > 0 {
		v.add(key, "%q: %s", name, why[0])
	}
}
