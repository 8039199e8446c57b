package gateway

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func serviceAs(change func(*corev1.Service)) *corev1.Service {
	class := "example.com/cloud"
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "gate", Namespace: "ns", Labels: map[string]string{"a": "1"}, Annotations: map[string]string{"cloud": "yes"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.9", LoadBalancerClass: &class,
			Selector: map[string]string{"app": "turn"}, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster,
			Ports: []corev1.ServicePort{{Name: "one", Protocol: corev1.ProtocolUDP, Port: 3478, TargetPort: intstr.FromInt32(20000), NodePort: 30001}},
		},
	}
	change(s)
	return s
}

// A Service that was filled in by the cluster is not written again, and what
// differs is, without what others have put there being lost.
func TestBecome(t *testing.T) {
	is := serviceAs(func(*corev1.Service) {})
	asked := func(change func(*corev1.Service)) *corev1.Service {
		return serviceAs(func(s *corev1.Service) {
			s.Annotations, s.Spec.ClusterIP, s.Spec.ExternalTrafficPolicy, s.Spec.LoadBalancerClass, s.Spec.Ports[0].NodePort = nil, "", "", nil, 0
			change(s)
		})
	}
	for name, test := range map[string]struct{ want, becomes *corev1.Service }{
		"as it is": {asked(func(*corev1.Service) {}), is},
		"label": {
			asked(func(s *corev1.Service) { s.Labels = map[string]string{"b": "2"} }),
			serviceAs(func(s *corev1.Service) { s.Labels["b"] = "2" }),
		},
		"another port": {
			asked(func(s *corev1.Service) { s.Spec.Ports[0].Port = 3479 }),
			serviceAs(func(s *corev1.Service) { s.Spec.Ports[0].Port = 3479 }),
		},
		"another protocol": {
			asked(func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolTCP }),
			serviceAs(func(s *corev1.Service) { s.Spec.Ports[0].Protocol, s.Spec.Ports[0].NodePort = corev1.ProtocolTCP, 0 }),
		},
		"another type": {
			asked(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }),
			serviceAs(func(s *corev1.Service) {
				s.Spec.Type, s.Spec.LoadBalancerClass, s.Spec.ExternalTrafficPolicy, s.Spec.Ports[0].NodePort = corev1.ServiceTypeClusterIP, nil, "", 0
			}),
		},
		"policy": {
			asked(func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }),
			serviceAs(func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }),
		},
		"owner": {
			asked(func(s *corev1.Service) { s.OwnerReferences = []metav1.OwnerReference{{Name: "gate"}} }),
			serviceAs(func(s *corev1.Service) { s.OwnerReferences = []metav1.OwnerReference{{Name: "gate"}} }),
		},
	} {
		if got := become(is, test.want); !equality.Semantic.DeepEqual(got, test.becomes) {
			t.Errorf("%s: it becomes %+v", name, got)
		}
	}
	if !reflect.DeepEqual(is, serviceAs(func(*corev1.Service) {})) {
		t.Error("what was given has changed")
	}
}

// What was asked for once goes with the wish; what others put there stays.
func TestBecomeTakesBack(t *testing.T) {
	is := serviceAs(func(s *corev1.Service) {
		s.Labels["team"] = "games"
		s.Annotations = map[string]string{"cloud": "yes", "mine": "a", "kept": "a", givenLabels: "team", givenAnnotations: "kept mine", givenClass: "example.com/cloud"}
	})
	next := become(is, serviceAs(func(s *corev1.Service) {
		s.Labels, s.Annotations = nil, map[string]string{"kept": "b", givenAnnotations: "kept"}
	}))
	if want := map[string]string{"a": "1"}; !reflect.DeepEqual(next.Labels, want) {
		t.Errorf("labels %v, want %v", next.Labels, want)
	}
	if want := map[string]string{"cloud": "yes", "kept": "b", givenAnnotations: "kept"}; !reflect.DeepEqual(next.Annotations, want) {
		t.Errorf("annotations %v, want %v", next.Annotations, want)
	}
}

// A Service is made again if another class of load balancer is asked for, which
// cannot change, and for nothing else.
func TestReplaced(t *testing.T) {
	with := func(kind corev1.ServiceType, class, given string) *corev1.Service {
		return serviceAs(func(s *corev1.Service) {
			s.Spec.Type, s.Spec.LoadBalancerClass, s.Annotations = kind, nil, map[string]string{}
			if class != "" {
				s.Spec.LoadBalancerClass = &class
			}
			if given != "" {
				s.Annotations[givenClass] = given
			}
		})
	}
	const balancer = corev1.ServiceTypeLoadBalancer
	for name, test := range map[string]struct {
		is, want *corev1.Service
		replaced bool
	}{
		"the same":                 {with(balancer, "a/b", "a/b"), with(balancer, "a/b", "a/b"), false},
		"another":                  {with(balancer, "a/b", "a/b"), with(balancer, "c/d", "c/d"), true},
		"one for the first time":   {with(balancer, "", ""), with(balancer, "c/d", "c/d"), true},
		"none any more":            {with(balancer, "a/b", "a/b"), with(balancer, "", ""), true},
		"the cloud's own":          {with(balancer, "a/b", ""), with(balancer, "", ""), false},
		"the cloud's in its place": {with(balancer, "a/b", "c/d"), with(balancer, "c/d", "c/d"), false},
		"what the cloud chose":     {with(balancer, "a/b", ""), with(balancer, "a/b", "a/b"), false},
		"another type":             {with(corev1.ServiceTypeNodePort, "", ""), with(balancer, "c/d", "c/d"), false},
	} {
		if got := replaced(test.is, test.want); got != test.replaced {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func podAs(name, ip string, ready, ends bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "home"}, Spec: corev1.PodSpec{NodeName: "node-of-" + name}}
	p.Status.PodIPs, p.Status.HostIP = []corev1.PodIP{{IP: ip}, {IP: "fd00::7"}, {IP: "nonsense"}}, "192.0.2."+name
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	if ends {
		now := metav1.Now()
		p.DeletionTimestamp = &now
	}
	return p
}

// Pods are listed as the cluster's own controller would, those that drain
// included.
func TestMirrored(t *testing.T) {
	over := podAs("4", "10.0.0.4", true, false)
	over.Status.Phase = corev1.PodFailed
	pods := []*corev1.Pod{podAs("3", "10.0.0.3", true, true), podAs("1", "10.0.0.1", true, false), podAs("2", "10.0.0.2", false, false), over}
	service := serviceAs(func(s *corev1.Service) { s.UID = "uid" })
	slice := mirrored(service, pods, discoveryv1.AddressTypeIPv4)
	want := []struct {
		address                     string
		ready, serving, terminating bool
	}{{"10.0.0.1", true, true, false}, {"10.0.0.2", false, false, false}, {"10.0.0.3", false, true, true}}
	if len(slice.Endpoints) != len(want) {
		t.Fatalf("%d endpoints", len(slice.Endpoints))
	}
	for i, w := range want {
		e := slice.Endpoints[i]
		if e.Addresses[0] != w.address || *e.Conditions.Ready != w.ready || *e.Conditions.Serving != w.serving || *e.Conditions.Terminating != w.terminating || *e.NodeName != "node-of-"+e.TargetRef.Name {
			t.Errorf("endpoint %d is %+v", i, e)
		}
	}
	if len(slice.Ports) != 1 || *slice.Ports[0].Port != 20000 || *slice.Ports[0].Name != "one" || slice.OwnerReferences[0].UID != "uid" || slice.Labels[discoveryv1.LabelServiceName] != "gate" {
		t.Errorf("%+v", slice)
	}
	if six := mirrored(service, pods[1:2], discoveryv1.AddressTypeIPv6); six.Endpoints[0].Addresses[0] != "fd00::7" || six.Name == slice.Name {
		t.Errorf("%+v", six)
	}
	pods[2].Status.HostIP = ""
	if got := strings.Join(nodeAddresses(append(pods, pods[1])), " "); got != "192.0.2.1 192.0.2.4 192.0.2.3" {
		t.Errorf("nodes %s", got)
	}
}

func TestStale(t *testing.T) {
	resource := schema.GroupResource{Resource: "services"}
	for _, err := range []error{nil, apierrors.NewConflict(resource, "a", nil), apierrors.NewNotFound(resource, "a"), apierrors.NewAlreadyExists(resource, "a")} {
		if stale(err) != nil {
			t.Errorf("%v is told", err)
		}
	}
	if stale(apierrors.NewForbidden(resource, "a", nil)) == nil {
		t.Error("what is forbidden is not told")
	}
}
