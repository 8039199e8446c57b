package gateway

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/cloudretro/cloudretro/turn/credential"
)

// stunner is the group of STUNner's resources. References in its manifests name
// it; ours are meant where they do.
const stunner = "stunner.l7mp.io"

// parameters are what GatewayConfigs say, with the installation's own in place
// of what they do not.
type parameters struct {
	realm   string
	secrets []string
	users   []User
	service serviceSettings
}

// classParameters follows the reference of a GatewayClass. The problem is why it
// cannot be followed.
func (t *translator) classParameters(ref *gatewayv1.ParametersReference) (p parameters, problem string) {
	p = parameters{realm: t.Realm, secrets: t.Settings.Secrets}
	if ref == nil {
		return p, ""
	}
	if !isConfig(ref.Group, ref.Kind) {
		return p, fmt.Sprintf("parametersRef is of kind %s in group %q; a GatewayConfig of group %s is known", ref.Kind, ref.Group, Group)
	}
	if or(ref.Namespace, "") == "" {
		return p, "parametersRef has no namespace; a GatewayConfig is in one"
	}
	return t.override(p, types.NamespacedName{Namespace: string(*ref.Namespace), Name: ref.Name})
}

// gatewayParameters are those of the class with what the Gateway's own
// GatewayConfig says before them.
func (t *translator) gatewayParameters(g *gatewayv1.Gateway, p parameters) (parameters, string) {
	if g.Spec.Infrastructure == nil || g.Spec.Infrastructure.ParametersRef == nil {
		return p, ""
	}
	ref := g.Spec.Infrastructure.ParametersRef
	if !isConfig(ref.Group, ref.Kind) {
		return p, fmt.Sprintf("infrastructure.parametersRef is of kind %s in group %q; a GatewayConfig of group %s is known", ref.Kind, ref.Group, Group)
	}
	return t.override(p, types.NamespacedName{Namespace: g.Namespace, Name: ref.Name})
}

func isConfig(group gatewayv1.Group, kind gatewayv1.Kind) bool {
	return (group == Group || group == stunner) && kind == "GatewayConfig"
}

// override puts what a GatewayConfig says over parameters.
func (t *translator) override(p parameters, name types.NamespacedName) (parameters, string) {
	config := t.configs[name]
	if config == nil {
		return p, fmt.Sprintf("GatewayConfig %s does not exist", name)
	}
	if config.Malformed != "" {
		return p, fmt.Sprintf("GatewayConfig %s: %s", name, config.Malformed)
	}
	spec := config.Spec
	if spec.Realm != "" {
		p.realm = spec.Realm
		if len(p.realm) > 128 || len(validation.IsDNS1123Subdomain(p.realm)) > 0 {
			return p, fmt.Sprintf("GatewayConfig %s: realm %q is not like the name of a host", name, shorten(p.realm))
		}
	}
	login, said, problem := t.login(config)
	if problem == "" && said {
		p.secrets, p.users, problem = login.credentials()
	}
	if problem == "" {
		p.service, problem = p.service.override(spec)
	}
	if problem != "" {
		return p, fmt.Sprintf("GatewayConfig %s: %s", name, problem)
	}
	return p, ""
}

// login is credentials as they are written down.
type login struct{ kind, user, password, secret string }

// login reads the credentials of a GatewayConfig, and says whether it has any.
func (t *translator) login(config *GatewayConfig) (l login, said bool, problem string) {
	spec := config.Spec
	if spec.AuthRef == nil {
		l = login{spec.AuthType, spec.UserName, spec.Password, spec.SharedSecret}
		return l, l != login{}, ""
	}
	ref := spec.AuthRef
	if group := or(ref.Group, ""); group != "" && group != "v1" || or(ref.Kind, "Secret") != "Secret" {
		return l, true, fmt.Sprintf("authRef is of kind %s in group %q; a Secret is known", or(ref.Kind, "Secret"), group)
	}
	name := types.NamespacedName{Namespace: string(or(ref.Namespace, gatewayv1.Namespace(config.Namespace))), Name: string(ref.Name)}
	if !t.permitted(reference{Group, "GatewayConfig", config.Namespace, corev1.GroupName, "Secret", name}) {
		return l, true, fmt.Sprintf("authRef leads to Secret %s in another namespace; a ReferenceGrant there, from GatewayConfig of group %s in namespace %s, would permit it", name, Group, config.Namespace)
	}
	secret, why := t.secret(name)
	if secret == nil {
		return l, true, why
	}
	value := func(key string) string { return strings.TrimSpace(string(secret.Data[key])) }
	l = login{value("type"), value("username"), value("password"), value("secret")}
	if l.secret == "" {
		l.secret = value("sharedSecret")
	}
	if l == (login{}) {
		return l, true, fmt.Sprintf("Secret %s has none of the keys type, username, password and secret", name)
	}
	return l, true, ""
}

// secret finds a Secret that may be referred to, and notes that it is wanted.
func (t *translator) secret(name types.NamespacedName) (secret *corev1.Secret, why string) {
	t.wanted[name] = true
	switch secret := t.secrets[name]; {
	case secret != nil:
		return secret, ""
	case t.Unreadable[name]:
		return nil, fmt.Sprintf("Secret %s may not be read; in its namespace, bind the ClusterRole cloudretro-gateway-secrets to the service account of the turn pods", name)
	}
	return nil, fmt.Sprintf("Secret %s does not exist", name)
}

// credentials checks what was written down.
func (l login) credentials() (secrets []string, users []User, problem string) {
	kind := l.kind
	if kind == "" { // the one that there is something for
		kind = "plaintext"
		if l.user == "" && l.password == "" {
			kind = "ephemeral"
		}
	}
	switch kind {
	case "plaintext", "static":
		if !validUser(l.user) || l.password == "" || len(l.password) > 256 {
			return nil, nil, fmt.Sprintf("authentication by name and password needs a user name of 1 to %d printable characters without ':', and a password of at most 256", credential.MaxUsername)
		}
		return nil, []User{{l.user, l.password}}, ""
	case "longterm", "ephemeral", "timewindow", "timewindowed":
		for line := range strings.Lines(l.secret) {
			if line = strings.TrimSpace(line); line != "" && len(line) <= 1024 && len(secrets) < maxCredentials {
				secrets = append(secrets, line)
			}
		}
		if len(secrets) == 0 {
			return nil, nil, "time-limited authentication needs a shared secret of 1 to 1024 characters"
		}
		return secrets, nil, ""
	}
	return nil, nil, fmt.Sprintf("the type of authentication %q is not known; use plaintext or ephemeral", shorten(kind))
}

func validUser(name string) bool {
	return name != "" && len(name) <= credential.MaxUsername &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
}

// override puts what a GatewayConfig says over settings of Services.
func (s serviceSettings) override(spec GatewayConfigSpec) (serviceSettings, string) {
	annotations := maps.Clone(s.annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(annotations, spec.LoadBalancerServiceAnnotations)
	s.annotations = annotations
	return s.set(spec.ServiceType, spec.LoadBalancerClass, spec.ExternalTrafficPolicy)
}
