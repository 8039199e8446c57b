package gateway

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMerge(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC)
	before := metav1.NewTime(now.Add(-time.Hour))
	at := metav1.NewTime(now.Truncate(time.Second))
	condition := func(status string, generation int64, since metav1.Time, message string) metav1.Condition {
		return metav1.Condition{Type: "Accepted", Status: metav1.ConditionStatus(status), Reason: "R", ObservedGeneration: generation, LastTransitionTime: since, Message: message}
	}
	other := metav1.Condition{Type: "example.com/Other", Status: "True"}
	yes := good("Accepted", "R", "new")
	for name, test := range map[string]struct{ known, want []metav1.Condition }{
		"first":             {nil, []metav1.Condition{condition("True", 3, at, "new")}},
		"status changes":    {[]metav1.Condition{condition("False", 2, before, "old")}, []metav1.Condition{condition("True", 3, at, "new")}},
		"status stays":      {[]metav1.Condition{condition("True", 2, before, "old")}, []metav1.Condition{condition("True", 3, before, "new")}},
		"nothing changes":   {[]metav1.Condition{condition("True", 3, before, "new")}, []metav1.Condition{condition("True", 3, before, "new")}},
		"newer is known":    {[]metav1.Condition{condition("False", 4, before, "old")}, []metav1.Condition{condition("False", 4, before, "old")}},
		"others stay":       {[]metav1.Condition{other, condition("True", 2, before, "old"), other}, []metav1.Condition{other, condition("True", 3, before, "new"), other}},
		"others are before": {[]metav1.Condition{other}, []metav1.Condition{other, condition("True", 3, at, "new")}},
		"others fill it":    {repeat(other, maxConditions), repeat(other, maxConditions)},
		"no time is known":  {[]metav1.Condition{condition("True", 2, metav1.Time{}, "old")}, []metav1.Condition{condition("True", 3, at, "new")}},
	} {
		t.Run(name, func(t *testing.T) {
			if is := merge(test.known, 3, now, yes); !reflect.DeepEqual(is, test.want) {
				t.Errorf("%+v\nis not\n%+v", is, test.want)
			}
		})
	}
}

func repeat(c metav1.Condition, n int) (all []metav1.Condition) {
	for range n {
		all = append(all, c)
	}
	return all
}

func TestMessagesAreBounded(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("ä", maxMessage), "a" + strings.Repeat("ä", maxMessage), "\xff\xfe"} {
		if m := shorten(s); len(m) > maxMessage || !utf8.ValidString(m) {
			t.Errorf("%d bytes of %q", len(m), m)
		}
	}
}

// Times of transition stay while nothing changes, and nothing is written.
func TestStatusesSettle(t *testing.T) {
	r := snapshot(t, guide, workers, manyListeners)
	settle(t, &r)
	s := settings()
	s.Now = s.Now.Add(time.Hour)
	out := Translate(r, s)
	if len(out.Classes)+len(out.Gateways)+len(out.OwnRoutes) > 0 {
		t.Errorf("%+v", out)
	}
	// A new generation is told without a new time of transition.
	r.Gateways[0].Generation++
	status := Translate(r, s).Gateways[nameOf(r.Gateways[0])]
	for _, c := range status.Conditions {
		if c.ObservedGeneration != r.Gateways[0].Generation || !c.LastTransitionTime.Time.Equal(settings().Now) {
			t.Errorf("%+v", c)
		}
	}
}

// Where the addresses of a Gateway are to come from is said by the type of its
// Service.
func TestGatewayWithoutAddresses(t *testing.T) {
	for kind, want := range map[string]string{
		"LoadBalancer": "annotate the Gateway with cloudretro.dev/service-type: NodePort",
		"NodePort":     "the nodes that turn pods run on",
		"ClusterIP":    "within the cluster alone",
	} {
		r := snapshot(t, classOf(""), gatewayOf(", annotations: {cloudretro.dev/service-type: "+kind+"}", "", oneUDP))
		r.NodeAddresses = nil
		for play(&r, Translate(r, settings()), "") {
			continue
		}
		g := gatewayNamed(t, r, "g")
		expect(t, kind, g.Status.Conditions, "Accepted=True Accepted", "Programmed=False AddressNotAssigned")
		if message := apimeta.FindStatusCondition(g.Status.Conditions, "Programmed").Message; !strings.Contains(message, want) {
			t.Errorf("%s: %q, want %q", kind, message, want)
		}
	}
}
