package clustercheck

import (
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waits is a container that waits, for a reason.
func waits(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Image: "cloudretro:latest", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

// crashed is one that has ended again and again.
func crashed(code int32, reason, message string) corev1.ContainerStatus {
	s := waits("CrashLoopBackOff", "back-off 10s")
	s.RestartCount = 3
	s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}
	return s
}

func condition(kind corev1.PodConditionType, status corev1.ConditionStatus, message string) corev1.PodCondition {
	return corev1.PodCondition{Type: kind, Status: status, Message: message}
}

func TestPods(t *testing.T) {
	r := &run{namespace: "n"}
	running := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	tests := []struct {
		name   string
		status corev1.PodStatus
		cause  []string // parts; none = nothing is wrong
		remedy string
	}{
		{"ready", corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionTrue, "")}}, nil, ""},
		{
			"on no node",
			corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, "0/2 nodes are available: 2 Insufficient cpu.")}},
			[]string{"p", "on no node", "2 Insufficient cpu"},
			"resources.requests",
		},
		{
			"no image",
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waits("ImagePullBackOff", "Back-off pulling image")}},
			[]string{"ImagePullBackOff", "Back-off"},
			"cloudretro:latest is neither on the node",
		},
		{"a name that is none", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waits("InvalidImageName", "x")}}, []string{"InvalidImageName"}, "set the image"},
		{
			"crashes",
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{crashed(2, "Error", "no such key")}},
			[]string{"ended 3 times", "exit code 2: no such key"},
			"kubectl -n n logs p --previous",
		},
		{
			"out of memory",
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{crashed(137, "OOMKilled", "")}},
			[]string{"exit code 137 (OOMKilled)"},
			"limits.memory",
		},
		{"crashes, and nobody knows how", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waits("CrashLoopBackOff", "back-off")}}, []string{"CrashLoopBackOff: back-off"}, "logs"},
		{
			"a Secret is missing",
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waits("CreateContainerConfigError", `secret "s" not found`)}},
			[]string{`secret "s" not found`},
			"the message names",
		},
		{
			"ended just now",
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}}}},
			[]string{"ended: exit code 1"},
			"logs",
		},
		{"is made", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waits("ContainerCreating", "")}}, []string{"is being made", "image"}, "describe pod p"},
		{
			"not ready",
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{running}, Conditions: []corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionFalse, "")}},
			[]string{"/readyz says no"},
			"logs p",
		},
		{
			"what comes first",
			corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{waits("ErrImagePull", "first")}, ContainerStatuses: []corev1.ContainerStatus{waits("PodInitializing", "")}},
			[]string{"ErrImagePull: first"},
			"load it",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, ok := r.pod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: tt.status})
			if ok != (len(tt.cause) > 0) || !strings.Contains(f.remedy, tt.remedy) {
				t.Errorf("%+v, %v", f, ok)
			}
			for _, part := range tt.cause {
				if !strings.Contains(f.cause, part) {
					t.Errorf("%q is not in %q", part, f.cause)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for message, remedy := range map[string]string{
		`pods "w" is forbidden: violates PodSecurity "restricted:latest"`: enforced,
		`pods "w" is forbidden: exceeded quota: q`:                        "ResourceQuota",
		`error looking up serviceaccount n/worker: not found`:             "kubectl apply",
		"an admission webhook says no":                                    "the message says",
	} {
		if f := refused(message); !strings.Contains(f.cause, message) || !strings.Contains(f.remedy, remedy) {
			t.Errorf("%s: %+v", message, f)
		}
	}
}

func TestAddresses(t *testing.T) {
	s := &corev1.Service{}
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}, {Hostname: "lb.example.org"}, {}}
	s.Spec.ExternalIPs = []string{"2001:db8::1"}
	if got := strings.Join(balanced(s), " "); got != "192.0.2.1 lb.example.org 2001:db8::1" {
		t.Error(got)
	}
	for want, one := range map[string]struct {
		host string
		port int32
	}{
		"http://h": {"h", 80}, "http://h:8000": {"h", 8000}, "http://[2001:db8::1]": {"2001:db8::1", 80}, "http://[2001:db8::1]:8000": {"2001:db8::1", 8000},
	} {
		if got := pageURL(one.host, one.port); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestEmpty(t *testing.T) {
	if !empty([]discoveryv1.EndpointSlice{{}, {}}) || empty([]discoveryv1.EndpointSlice{{}, {Endpoints: []discoveryv1.Endpoint{{}}}}) {
		t.Error("wrong")
	}
}

func TestNeeds(t *testing.T) {
	all := func(s Settings, account string) string {
		needed, refused := (&run{Config: Config{Settings: s}}).needs(account)
		text := ""
		for _, one := range needed {
			text += one.String() + "; "
		}
		for _, one := range refused {
			text += "NOT " + one.String() + "; "
		}
		return text
	}
	for _, tt := range []struct {
		account   string
		settings  Settings
		has, lack string
	}{
		{coordinator, Settings{}, "patch pods;", "secrets"},
		{coordinator, Settings{Secrets: true}, "get secrets cloudretro-session;", "deployments"},
		{coordinator, Settings{FreeSeats: 1, Workers: "w"}, "update deployments/scale w;", "secrets"},
		{worker, Settings{Secrets: true}, "NOT get secrets cloudretro-turn;", "; get secrets"},
		{turn, Settings{Secrets: true}, "get secrets cloudretro-turn;", "gateways"},
		{turn, Settings{Gateway: true}, "list gateways of the whole cluster;", "; get secrets"},
	} {
		if got := all(tt.settings, tt.account); !strings.Contains(got, tt.has) || strings.Contains(got, tt.lack) {
			t.Errorf("%s %+v: %s", tt.account, tt.settings, got)
		}
	}
}

// Whatever a cluster says, it stays on one line, and short.
func FuzzShort(f *testing.F) {
	f.Add("a  b\nc")
	f.Add(strings.Repeat("é", 1000))
	f.Add("\xff\x00\x1b[31m")
	f.Fuzz(func(t *testing.T, text string) {
		got := short(text)
		if strings.ContainsAny(got, "\r\n") || utf8.RuneCountInString(got) > longest+1 || !utf8.ValidString(got) {
			t.Errorf("%q", got)
		}
		if strings.ContainsRune(got, '\x1b') {
			t.Errorf("%q moves the cursor", got)
		}
	})
}
