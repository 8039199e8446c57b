package gateway

import (
	"slices"
	"strings"
	"testing"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// classOf is a GatewayClass with parameters.
func classOf(parameters string) string {
	return "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: cloudretro, generation: 4}\nspec: {controllerName: cloudretro.dev/turn" + parameters + "}"
}

// configOf is a GatewayConfig with a spec.
func configOf(spec string) string {
	return "apiVersion: cloudretro.dev/v1\nkind: GatewayConfig\nmetadata: {name: c, namespace: x}\nspec: {" + spec + "}"
}

const refersToConfig = ", parametersRef: {group: cloudretro.dev, kind: GatewayConfig, name: c, namespace: x}"

func TestClass(t *testing.T) {
	for name, test := range map[string]struct {
		class, config, want string
	}{
		"no parameters":            {"", "realm: a", "True Accepted"},
		"good parameters":          {refersToConfig, "realm: a, userName: u, password: p", "True Accepted"},
		"no such object":           {", parametersRef: {group: cloudretro.dev, kind: GatewayConfig, name: d, namespace: x}", "", "False InvalidParameters"},
		"no namespace":             {", parametersRef: {group: cloudretro.dev, kind: GatewayConfig, name: c}", "", "False InvalidParameters"},
		"unknown kind":             {", parametersRef: {group: '', kind: ConfigMap, name: c, namespace: x}", "", "False InvalidParameters"},
		"unknown group":            {", parametersRef: {group: example.com, kind: GatewayConfig, name: c, namespace: x}", "", "False InvalidParameters"},
		"malformed":                {refersToConfig, "realm: [1, 2]", "False InvalidParameters"},
		"realm":                    {refersToConfig, "realm: 'a b'", "False InvalidParameters"},
		"no password":              {refersToConfig, "authType: static, userName: u", "False InvalidParameters"},
		"no secret":                {refersToConfig, "authType: ephemeral", "False InvalidParameters"},
		"user like a minted one":   {refersToConfig, "authType: static, userName: '1:u', password: p", "False InvalidParameters"},
		"unknown authentication":   {refersToConfig, "authType: oauth, sharedSecret: s", "False InvalidParameters"},
		"no such Secret":           {refersToConfig, "authRef: {name: login}", "False InvalidParameters"},
		"authRef of another kind":  {refersToConfig, "authRef: {name: login, kind: ConfigMap}", "False InvalidParameters"},
		"authRef without a grant":  {refersToConfig, "authRef: {name: login, namespace: why}", "False InvalidParameters"},
		"unknown type of Service":  {refersToConfig, "serviceType: ExternalName", "False InvalidParameters"},
		"unknown traffic policy":   {refersToConfig, "externalTrafficPolicy: none", "False InvalidParameters"},
		"bad load balancer class":  {refersToConfig, "loadBalancerClass: 'a b'", "False InvalidParameters"},
		"good settings of Service": {refersToConfig, "serviceType: NodePort, externalTrafficPolicy: Local, loadBalancerClass: example.com/a", "True Accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			r := snapshot(t, classOf(test.class), configOf(test.config))
			settle(t, &r)
			status := r.Classes[0].Status
			expect(t, "class", status.Conditions, "Accepted="+test.want, "SupportedVersion=True SupportedVersion")
			if status.Conditions[0].ObservedGeneration != 4 || status.Conditions[0].Message == "" {
				t.Errorf("%+v", status)
			}
		})
	}
}

// Features have the names that the suite knows them by, and are sorted.
func TestSupportedFeatures(t *testing.T) {
	var got []features.FeatureName
	for _, f := range supportedFeatures("v1.4.0") {
		got = append(got, features.FeatureName(f.Name))
	}
	want := []features.FeatureName{features.SupportGateway, features.SupportGatewayInfrastructure, features.SupportReferenceGrant, features.SupportUDPRoute}
	if !slices.Equal(got, want) || !slices.IsSorted(got) {
		t.Errorf("features %v, want %v", got, want)
	}
}

// Older CRDs have not all fields of a status: those are not written again and again.
func TestOlderBundle(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP))
	r.Bundles = map[string]string{crdClasses: "v1.1.0", crdGateways: "v1.1.0"}
	settle(t, &r)
	if f := r.Classes[0].Status.SupportedFeatures; f != nil {
		t.Errorf("features %v", f)
	}
	if n := r.Gateways[0].Status.AttachedListenerSets; n != nil {
		t.Errorf("%d ListenerSets", *n)
	}
	expect(t, "class", r.Classes[0].Status.Conditions, "Accepted=True Accepted", "SupportedVersion=True SupportedVersion")
	expect(t, "gateway", r.Gateways[0].Status.Conditions, "Programmed=True Programmed")
}

func TestClassOfOthersIsLeftAlone(t *testing.T) {
	other := strings.ReplaceAll(guide, "controllerName: cloudretro.dev/turn", "controllerName: example.com/turn")
	out := Translate(snapshot(t, other, workers), settings())
	if len(out.Classes)+len(out.Gateways)+len(out.OwnRoutes)+len(out.Services)+len(out.Listeners)+len(out.Obsolete) > 0 {
		t.Errorf("%+v", out)
	}
}

func TestVersions(t *testing.T) {
	for name, test := range map[string]struct {
		bundles map[string]string
		want    string
	}{
		"ours":      {map[string]string{"a": "v1.6.3", "b": "v1.0.0"}, "True SupportedVersion"},
		"candidate": {map[string]string{"a": "v1.6.0-rc.1"}, "True SupportedVersion"},
		"later":     {map[string]string{"a": "v1.6.3", "b": "v1.99.0"}, "False UnsupportedVersion"},
		"old":       {map[string]string{"a": "v0.8.1"}, "False UnsupportedVersion"},
		"none":      {map[string]string{"a": ""}, "False UnsupportedVersion"},
		"nonsense":  {map[string]string{"a": "v1.x.y"}, "False UnsupportedVersion"},
		"unread":    {nil, "Unknown Pending"},
	} {
		t.Run(name, func(t *testing.T) {
			r := snapshot(t, classOf(""))
			r.Bundles = test.bundles
			settle(t, &r)
			expect(t, "class", r.Classes[0].Status.Conditions, "Accepted=True Accepted", "SupportedVersion="+test.want)
		})
	}
}

const secretOfWhy = "apiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: why}\nstringData: {"

const grantOfWhy = `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: why}
spec:
  from: [{group: cloudretro.dev, kind: GatewayConfig, namespace: x}]
  to: [{group: "", kind: Secret, name: login}]
`

func TestCredentials(t *testing.T) {
	refers := "authRef: {name: login, namespace: why}"
	for name, test := range map[string]struct {
		spec, secret string
		secrets      []string
		users        []User
	}{
		"of the installation":        {"realm: r", "a: b", []string{"of the installation"}, nil},
		"static":                     {"authType: static, userName: u, password: p", "a: b", nil, []User{{"u", "p"}}},
		"ephemeral":                  {"authType: ephemeral, sharedSecret: s", "a: b", []string{"s"}, nil},
		"untyped":                    {"sharedSecret: s", "a: b", []string{"s"}, nil},
		"Secret with static":         {refers, "type: static, username: u, password: p", nil, []User{{"u", "p"}}},
		"Secret with plaintext":      {refers, "type: plaintext, username: u, password: p", nil, []User{{"u", "p"}}},
		"Secret with time-limited":   {refers, "type: longterm, secret: s", []string{"s"}, nil},
		"Secret as STUNner has it":   {refers, "type: timewindowed, sharedSecret: s", []string{"s"}, nil},
		"Secret as ours":             {refers, `secret: "new\nold\n"`, []string{"new", "old"}, nil},
		"Secret goes before inline":  {refers + ", userName: v, password: q", "username: u, password: p", nil, []User{{"u", "p"}}},
		"Secret with a last newline": {refers, `type: "static\n", username: "u\n", password: "p\n"`, nil, []User{{"u", "p"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := snapshot(t, classOf(refersToConfig), configOf(test.spec), secretOfWhy+test.secret+"}", grantOfWhy, manyListeners)
			l := served(t, settle(t, &r), "cloudretro/many/a")
			if !slices.Equal(l.Secrets, test.secrets) || !slices.Equal(l.Users, test.users) {
				t.Errorf("%+v", l)
			}
		})
	}
}

func TestSecretsThatAreWanted(t *testing.T) {
	r := snapshot(t, classOf(refersToConfig), configOf("authRef: {name: login, namespace: why}"), grantOfWhy)
	if out := Translate(r, settings()); len(out.Secrets) != 1 || out.Secrets[0].String() != "why/login" {
		t.Errorf("%v", out.Secrets)
	}
	r.Grants[0].Spec.To[0].Name = nil
	if out := Translate(r, settings()); len(out.Secrets) != 1 {
		t.Errorf("a grant for every Secret does not hold for one: %v", out.Secrets)
	}
	r.Grants[0].Spec.From[0].Namespace = "z"
	if out := Translate(r, settings()); len(out.Secrets) != 0 {
		t.Errorf("what may not be referred to is read: %v", out.Secrets)
	}
}

// A Gateway's own GatewayConfig goes before that of the class.
// That a Secret may not be read is told, and what gives the right.
func TestUnreadableSecrets(t *testing.T) {
	r := snapshot(t, classOf(refersToConfig), configOf("authRef: {name: login}"), gatewayOf("", "", "    - {name: l, port: 1, protocol: TLS, tls: {certificateRefs: [{name: tls}]}}"))
	r.Unreadable = map[types.NamespacedName]bool{{Namespace: "x", Name: "login"}: true, {Namespace: "infra", Name: "tls"}: true}
	settle(t, &r)
	l := listenerNamed(t, gatewayNamed(t, r, "g"), "l")
	expect(t, "class", r.Classes[0].Status.Conditions, "Accepted=False InvalidParameters")
	expect(t, "listener", l.Conditions, "ResolvedRefs=False InvalidCertificateRef")
	for _, c := range []*metav1.Condition{apimeta.FindStatusCondition(r.Classes[0].Status.Conditions, "Accepted"), apimeta.FindStatusCondition(l.Conditions, "ResolvedRefs")} {
		if !strings.Contains(c.Message, "may not be read") || !strings.Contains(c.Message, "cloudretro-gateway-secrets") {
			t.Errorf("%+v", c)
		}
	}
}

func TestParametersOfAGateway(t *testing.T) {
	own := strings.ReplaceAll(configOf("userName: u, password: p"), "namespace: x", "namespace: cloudretro")
	r := snapshot(t, classOf(refersToConfig), configOf("realm: r, sharedSecret: s, loadBalancerServiceAnnotations: {a/b: c}"), own,
		strings.ReplaceAll(manyListeners, "gatewayClassName: cloudretro", "gatewayClassName: cloudretro\n  infrastructure: {parametersRef: {group: cloudretro.dev, kind: GatewayConfig, name: c}}"))
	l := served(t, settle(t, &r), "cloudretro/many/a")
	if l.Realm != "r" || len(l.Secrets) != 0 || len(l.Users) != 1 {
		t.Errorf("%+v", l)
	}
	if r.Services[0].Annotations["a/b"] != "c" {
		t.Errorf("%v", r.Services[0].Annotations)
	}
	r.Configs = r.Configs[:1]
	settle(t, &r)
	g := gatewayNamed(t, r, "many")
	expect(t, "gateway", g.Status.Conditions, "Accepted=False InvalidParameters", "Programmed=False Invalid")
	expect(t, "listener", listenerNamed(t, g, "a").Conditions, "Accepted=True Accepted", "Programmed=False Invalid")
	g.Spec.Infrastructure.ParametersRef.Kind = "ConfigMap"
	settle(t, &r)
	expect(t, "gateway", g.Status.Conditions, "Accepted=False InvalidParameters")
}

func TestReadKeepsWhatNamesAnObject(t *testing.T) {
	for _, spec := range []any{nil, "text", 5, []any{}, map[string]any{"parentRefs": "text"}, map[string]any{
		"parentRefs": []any{map[string]any{"name": "g"}}, "rules": "text",
	}} {
		u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "n", "namespace": "x"}, "spec": spec}}
		if route := ReadUDPRoute(u); route.Name != "n" || route.Namespace != "x" {
			t.Errorf("%+v", route)
		}
		if c := ReadGatewayConfig(u); c.Name != "n" {
			t.Errorf("%+v", c)
		}
		if s := ReadStaticService(u); s.Name != "n" {
			t.Errorf("%+v", s)
		}
	}
}

// A Gateway whose class has gone is not served, says so, and keeps its Service. One
// that never was ours is left alone.
func TestClassHasGone(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP))
	settle(t, &r)
	classes := r.Classes
	other := r.Gateways[0].DeepCopy()
	other.Name = "other"
	r.Classes, r.Gateways = nil, append(r.Gateways, other)
	out := settle(t, &r)
	if len(out.Listeners)+len(out.Obsolete) > 0 || len(r.Services) != 1 {
		t.Errorf("%+v", out)
	}
	g := gatewayNamed(t, r, "g")
	expect(t, "gateway", g.Status.Conditions, "Accepted=Unknown Pending", "Programmed=Unknown Pending")
	if len(g.Status.Listeners)+len(g.Status.Addresses) > 0 {
		t.Errorf("%+v", g.Status)
	}
	expect(t, "somebody else's", other.Status.Conditions, "Accepted=True Accepted")
	r.Classes = classes
	settle(t, &r)
	expect(t, "gateway", gatewayNamed(t, r, "g").Status.Conditions, "Accepted=True Accepted", "Programmed=True Programmed")
}
