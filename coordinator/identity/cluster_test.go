package identity

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// pod makes a pod of a service account, which need not run.
func pod(t *testing.T, c *cluster.Cluster, account string) *corev1.Pod {
	t.Helper()
	made, err := clustertest.Clientset(c).CoreV1().Pods(c.Namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: account + "-"},
		Spec: corev1.PodSpec{
			ServiceAccountName: account, NodeSelector: map[string]string{"cloudretro.dev/nowhere": "yes"},
			Containers: []corev1.Container{{Name: "c", Image: "cloudretro:latest"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// bound asks for what the kubelet projects into a pod.
func bound(p *corev1.Pod, audience string) func(*authentication.TokenRequestSpec) {
	return func(s *authentication.TokenRequestSpec) {
		if audience != "" {
			s.Audiences = []string{audience}
		}
		if p != nil {
			s.BoundObjectRef = &authentication.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.Name, UID: p.UID}
		}
	}
}

func of(t *testing.T, c *cluster.Cluster, as *cluster.Cluster) *Verifier {
	t.Helper()
	v, err := New(Config{API: as.API, Namespace: c.Namespace, ServiceAccount: "worker", Audience: "cloudretro"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestRealTokens: those of a real API server, by who may review tokens and by a
// service account that has no rights but those that all have.
func TestRealTokens(t *testing.T) {
	c := clustertest.Connect(t)
	clustertest.Account(t, c, "worker")
	clustertest.Account(t, c, "other")
	elsewhere := *c
	elsewhere.Namespace = clustertest.Namespace(t, c)
	clustertest.Account(t, &elsewhere, "worker")
	mine := pod(t, c, "worker")
	good := clustertest.Token(t, c, "worker", bound(mine, "cloudretro"))
	forged := good[:len(good)-8] + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, good[len(good)-8:])
	refused := map[string]struct{ token, says string }{
		"another namespace": {clustertest.Token(t, &elsewhere, "worker", bound(pod(t, &elsewhere, "worker"), "cloudretro")), "it is of"},
		"another account":   {clustertest.Token(t, c, "other", bound(pod(t, c, "other"), "cloudretro")), "it is of"},
		"another audience":  {clustertest.Token(t, c, "worker", bound(mine, "vault")), "audience"},
		"of the API server": {clustertest.Token(t, c, "worker", bound(mine, "")), "audience"},
		"of no pod":         {clustertest.Token(t, c, "worker", bound(nil, "cloudretro")), "bound to no pod"},
		"forged":            {forged, "forged"},
	}
	reviews, keysAlone := of(t, c, c), of(t, c, clustertest.As(t, c, "coordinator"))
	for way, v := range map[string]*Verifier{"by review": reviews, "by keys": keysAlone} {
		t.Run(way, func(t *testing.T) {
			who, err := v.Verify(t.Context(), good)
			if err != nil || who != (Identity{mine.Name, string(mine.UID)}) {
				t.Fatalf("%+v, %v", who, err)
			}
			if uid := signal.TokenPod(good); uid != who.UID {
				t.Errorf("the worker reads that it is in pod %q", uid)
			}
			for name, tt := range refused {
				if _, err := v.Verify(t.Context(), tt.token); err == nil || errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s: %v", name, err)
				}
			}
			v.now = func() time.Time { return time.Now().Add(11 * time.Minute) }
			if _, err := v.Verify(t.Context(), good); err == nil || !strings.Contains(err.Error(), "expired") {
				t.Errorf("eleven minutes later: %v", err)
			}
			v.now = time.Now
		})
	}
	if keysAlone.reviews.allowed(time.Now()) || !reviews.reviews.allowed(time.Now()) {
		t.Error("the two did not go two ways")
	}
	deleted(t, c, mine)
	keysAlone.seen = newCache()
	refusedInTime(t, reviews, good)
	if _, err := keysAlone.Verify(t.Context(), good); err != nil {
		t.Errorf("keys do not tell that a pod was deleted: %v", err)
	}
}

// deleted waits until a pod is gone.
func deleted(t *testing.T, c *cluster.Cluster, p *corev1.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	now := int64(0)
	if err := clustertest.Clientset(c).CoreV1().Pods(c.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := clustertest.Clientset(c).CoreV1().Pods(c.Namespace).Get(ctx, p.Name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the pod is not deleted")
		}
	}
}

// refusedInTime waits for the API server, which remembers a token for 10 s
// itself.
func refusedInTime(t *testing.T, v *Verifier, token string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		v.seen = newCache()
		_, err := v.Verify(ctx, token)
		if err != nil && strings.Contains(err.Error(), "the API server refuses it") {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("of a pod that was deleted: %v", err)
		}
	}
}
