package config

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What the type Config says about keys. A key is the dotted path of yaml tags;
// a table (a map of structs) has free names of the form namePattern in it.

const namePattern = `^[a-z0-9][a-z0-9-]{0,31}$`

func validName(name string) bool { return regexp.MustCompile(namePattern).MatchString(name) }

// keyOf is the key of a field: its yaml tag without the flags.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// fieldNamed finds a field of struct t by its key, in any case.
func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if strings.EqualFold(keyOf(t.Field(i)), name) {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

func fieldKeys(t reflect.Type) []string {
	keys := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		keys = append(keys, keyOf(t.Field(i)))
	}
	return keys
}

// isScalar says that values of t are written as one YAML scalar.
func isScalar(t reflect.Type) bool {
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Map && t.Kind() != reflect.Slice
}

func isDuration(t reflect.Type) bool { return t == reflect.TypeFor[time.Duration]() }

// knownKeys lists the keys that may stand where key stands: in tables and
// lists the names and indexes of key are kept, elsewhere "NAME" stands for any.
func knownKeys(key string) []string {
	var keys []string
	walkKeys(reflect.TypeFor[Config](), "", strings.Split(key, "."), &keys)
	return keys
}

// walkKeys appends the keys at and under prefix; used are the names of the key
// that is looked for, from this depth on, nil once the paths have parted.
func walkKeys(t reflect.Type, prefix string, used []string, keys *[]string) {
	if prefix != "" {
		*keys = append(*keys, prefix)
	}
	var head string
	var tail []string
	if len(used) > 0 {
		head, tail = used[0], used[1:]
	}
	switch {
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			name := keyOf(t.Field(i))
			rest := tail
			if !strings.EqualFold(name, head) {
				rest = nil
			}
			walkKeys(t.Field(i).Type, join(prefix, name), rest, keys)
		}
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		if head == "" {
			head = "NAME"
		}
		walkKeys(t.Elem(), join(prefix, head), tail, keys)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		if _, err := strconv.Atoi(head); err != nil {
			head = "0"
		}
		walkKeys(t.Elem(), join(prefix, head), tail, keys)
	}
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
