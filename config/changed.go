package config

import "reflect"

// Changed are the keys in which two configurations differ, in the order of
// default.yaml; never their values. A table or a list that differs is one key.
func Changed(a, b Config) []string {
	return appendChanged(nil, "", reflect.ValueOf(a), reflect.ValueOf(b))
}

func appendChanged(keys []string, prefix string, a, b reflect.Value) []string {
	if a.Kind() != reflect.Struct {
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			keys = append(keys, prefix)
		}
		return keys
	}
	for i := range a.NumField() {
		keys = appendChanged(keys, join(prefix, keyOf(a.Type().Field(i))), a.Field(i), b.Field(i))
	}
	return keys
}
