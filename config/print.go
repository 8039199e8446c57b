package config

import (
	"bytes"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// mask stands where a secret is.
const mask = "***"

// Masked is a copy in which every secret that is set reads "***".
func (c Config) Masked() Config {
	maskSecrets(reflect.ValueOf(&c).Elem())
	return c
}

// maskSecrets masks the fields of v that are tagged secret. Slices of structs
// are copied first, so that the original keeps its own.
func maskSecrets(v reflect.Value) {
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		switch {
		case tag.Get("secret") != "":
			maskField(field)
		case field.Kind() == reflect.Struct:
			maskSecrets(field)
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			clone := reflect.MakeSlice(field.Type(), field.Len(), field.Len())
			reflect.Copy(clone, field)
			for j := range clone.Len() {
				maskSecrets(clone.Index(j))
			}
			field.Set(clone)
		}
	}
}

// maskField masks a secret text, or each of a list of them, where it is set.
func maskField(field reflect.Value) {
	switch {
	case field.Kind() == reflect.Slice:
		masked := make([]string, field.Len())
		for i := range masked {
			masked[i] = mask
		}
		if len(masked) > 0 {
			field.Set(reflect.ValueOf(masked))
		}
	case field.String() != "":
		field.SetString(mask)
	}
}

// YAML is the configuration as a file that Load reads back to the same. Mask
// it first unless the reader may know the secrets.
func (c Config) YAML() ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return out.Bytes(), nil
}
