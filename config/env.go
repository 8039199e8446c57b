package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// envPrefix begins the name of every environment variable that is read.
const envPrefix = "CLOUDRETRO_"

// serviceLink matches what Kubernetes and Docker links put into the
// environment for a Service that is called cloudretro or cloudretro-something
// (kubernetes.io "Discovering services", docker legacy links): not ours.
const serviceLink = `^CLOUDRETRO_(.+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$`

// isReserved says that a variable, though it bears our prefix, is no key: a
// service link, or one that the project's own tests take.
func isReserved(name string) bool {
	if strings.HasPrefix(name, envPrefix+"TEST_") || strings.HasPrefix(name, envPrefix+"CLUSTER") ||
		slices.Contains([]string{envPrefix + "E2E", envPrefix + "BIN", envPrefix + "CHROMIUM", envPrefix + "IMAGE"}, name) {
		return true
	}
	return regexp.MustCompile(serviceLink).MatchString(name)
}

// variable is one environment variable that is ours.
type variable struct {
	name, value string
}

// variables picks ours out of an environment of NAME=VALUE, sorted by name.
func variables(environ []string) []variable {
	var out []variable
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && !isReserved(name) {
			out = append(out, variable{name, value})
		}
	}
	slices.SortFunc(out, func(a, b variable) int { return strings.Compare(a.name, b.name) })
	return out
}

// path is a key taken apart, with the type that stands there.
type path struct {
	names []string
	typ   reflect.Type
}

func (p path) key() string { return strings.Join(p.names, ".") }

// resolve follows names, in any case, through Config. ok is false when they
// lead nowhere.
func resolve(names []string) (p path, ok bool) {
	p.typ = reflect.TypeFor[Config]()
	for _, name := range names {
		switch {
		case p.typ.Kind() == reflect.Struct:
			field, found := fieldNamed(p.typ, name)
			if !found {
				return p, false
			}
			p.names, p.typ = append(p.names, keyOf(field)), field.Type
		case p.typ.Kind() == reflect.Map && p.typ.Elem().Kind() == reflect.Struct && validName(strings.ToLower(name)):
			p.names, p.typ = append(p.names, strings.ToLower(name)), p.typ.Elem()
		default:
			return p, false
		}
	}
	return p, len(p.names) > 0
}

// envName is the variable that sets a key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// unknownVariable is the problem of a variable that nothing reads.
func unknownVariable(name string) Problem {
	known := knownKeys("")
	for i, key := range known {
		known[i] = envName(key)
	}
	return Problem{"environment", name, "unknown variable; the nearest known one is " + nearest(name, known)}
}
