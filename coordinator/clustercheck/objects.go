package clustercheck

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// The ConfigMap that all roles mount, and its key.
const (
	configMap = "cloudretro"
	configKey = "config.yaml"
)

// config reads the installation's configuration; what follows goes by it.
func (r *run) config(ctx context.Context) error {
	found, err := ask(ctx, r, func(ctx context.Context) (*corev1.ConfigMap, error) {
		return r.Cluster.API.ConfigMaps(r.namespace).Get(ctx, configMap, metav1.GetOptions{})
	})
	switch {
	case apierrors.IsNotFound(err):
		r.fail("config", fmt.Sprintf("there is no ConfigMap %s in namespace %s: pods wait for it", configMap, r.namespace), applyRemedy)
		return nil
	case err != nil:
		r.trouble("config", "get configmaps", err)
		return nil
	}
	text, ok := found.Data[configKey]
	if !ok {
		r.fail("config", fmt.Sprintf("ConfigMap %s has no key %s", configMap, configKey), applyRemedy)
		return nil
	}
	settings, err := r.Parse([]byte(text))
	if err != nil {
		r.fail("config", fmt.Sprintf("%s of ConfigMap %s: %s", configKey, configMap, short(err.Error())),
			fmt.Sprintf("kubectl -n %s edit configmap %s; pods that run keep to what they have read before", r.namespace, configMap))
		return nil
	}
	r.Settings = settings
	r.pass("config", "ConfigMap %s can be read", configMap)
	return nil
}

// secrets looks at the three of them.
func (r *run) secrets(ctx context.Context) error {
	if !r.Settings.Secrets {
		r.note("secrets", "none are read from the cluster (kubernetes.secrets is off)", "")
		return nil
	}
	of := *r.Cluster
	of.Namespace = r.namespace
	well := 0
	for _, name := range []string{cluster.SecretWorker, cluster.SecretTURN, cluster.SecretSession} {
		_, err := ask(ctx, r, func(ctx context.Context) (*corev1.Secret, error) {
			return r.Cluster.API.Secrets(r.namespace).Get(ctx, name, metav1.GetOptions{})
		})
		switch {
		case apierrors.IsForbidden(err):
			r.trouble("secrets", "get secrets", err)
			return nil
		case apierrors.IsNotFound(err):
			r.fail("secrets", fmt.Sprintf("there is no Secret %s", name),
				fmt.Sprintf("a coordinator makes it as it starts: see above why none does, or if they run, kubectl -n %s rollout restart deployment", r.namespace))
			continue
		case err != nil:
			r.trouble("secrets", "get secrets", err)
			continue
		}
		// Read once more, by what reads it in the roles.
		if _, err := ask(ctx, r, func(ctx context.Context) ([]string, error) { return of.Secret(ctx, name, false) }); err != nil {
			r.fail("secrets", short(err.Error()), fmt.Sprintf("kubectl -n %s delete secret %s, then restart the three Deployments", r.namespace, name))
			continue
		}
		well++
	}
	if well > 0 {
		r.pass("secrets", "%d are there and well-formed", well)
	}
	return nil
}
