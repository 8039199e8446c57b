package config

import "reflect"

// Live are the keys that a process takes while it runs, in the order of
// default.yaml: fields with the tag live, whatever lies below them. The others
// need a restart.
func Live() []string { return appendLive(nil, "", reflect.TypeFor[Config]()) }

func appendLive(keys []string, prefix string, t reflect.Type) []string {
	for i := range t.NumField() {
		f := t.Field(i)
		switch key := join(prefix, keyOf(f)); {
		case isLive(f):
			keys = append(keys, key)
		case f.Type.Kind() == reflect.Struct:
			keys = appendLive(keys, key, f.Type)
		}
	}
	return keys
}

func isLive(f reflect.StructField) bool { return f.Tag.Get("live") == "true" }

// Adopt is running with the live keys of next. Taken are those keys in which
// the two differ, stale those that differ and need a restart.
func Adopt(running, next Config) (merged Config, taken, stale []string) {
	merged = running
	adopt(reflect.ValueOf(&merged).Elem(), reflect.ValueOf(next))
	return merged, Changed(running, merged), Changed(merged, next)
}

// adopt copies the live fields of one struct to another.
func adopt(to, from reflect.Value) {
	for i := range to.NumField() {
		switch f := to.Type().Field(i); {
		case isLive(f):
			to.Field(i).Set(from.Field(i))
		case f.Type.Kind() == reflect.Struct:
			adopt(to.Field(i), from.Field(i))
		}
	}
}
