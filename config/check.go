package config

import (
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// checker turns a YAML tree into the plain maps that viper merges, and notes
// what does not fit the type of Config. Keys come out in lower case, as viper
// wants them; only the names of core options keep their case.
type checker struct {
	source   string // file name, variable or flag
	lines    bool   // whether a node's line helps
	problems Problems
	options  func(key string) map[string]string // what the layers below set
}

// value is what a node is worth as a t; ok is false when it is worth nothing:
// null (the key keeps its default), or a problem that has been noted.
func (c *checker) value(t reflect.Type, n *yaml.Node, key string) (v any, ok bool) {
	switch {
	case n.Kind == yaml.AliasNode:
		c.add(n, key, "YAML aliases are not supported; write the value out")
		return nil, false
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, false
	case isScalar(t):
		return c.scalar(t, n, key)
	case t.Kind() == reflect.Struct:
		return c.section(t, n, key)
	case t.Kind() == reflect.Slice:
		return c.list(t.Elem(), n, key)
	case t.Elem().Kind() == reflect.String:
		return c.texts(n, key)
	default:
		return c.table(t.Elem(), n, key)
	}
}

// section reads a mapping with the fields of t as its keys.
func (c *checker) section(t reflect.Type, n *yaml.Node, key string) (any, bool) {
	if n.Kind != yaml.MappingNode {
		c.add(n, key, fmt.Sprintf("%s where the keys %s are expected", describe(n), strings.Join(fieldKeys(t), ", ")))
		return nil, false
	}
	out := map[string]any{}
	c.pairs(n, key, func(name string, k, v *yaml.Node) {
		field, ok := fieldNamed(t, name)
		if !ok {
			c.problems = append(c.problems, unknown(c.at(k), join(key, name)))
			return
		}
		if v, ok := c.value(field.Type, v, join(key, keyOf(field))); ok {
			out[strings.ToLower(name)] = v
		}
	})
	return out, true
}

// table reads a mapping whose keys are free names.
func (c *checker) table(elem reflect.Type, n *yaml.Node, key string) (any, bool) {
	if n.Kind != yaml.MappingNode {
		c.add(n, key, describe(n)+" where a mapping from names is expected")
		return nil, false
	}
	out := map[string]any{}
	c.pairs(n, key, func(name string, k, v *yaml.Node) {
		if !validName(name) {
			c.add(k, key, describe(k)+" as a name; 1 to 32 of a-z, 0-9 and - are allowed")
			return
		}
		if v, ok := c.value(elem, v, join(key, name)); ok {
			out[name] = v
		}
	})
	return out, true
}

// texts reads a mapping from names to texts, or "name=text,name=text", on top
// of those that are set already. Unlike other keys the names keep their case,
// for viper leaves a map[string]string alone.
func (c *checker) texts(n *yaml.Node, key string) (any, bool) {
	out := maps.Clone(c.options(key))
	switch n.Kind {
	case yaml.MappingNode:
		c.pairs(n, key, func(name string, _, v *yaml.Node) {
			if v.Kind != yaml.ScalarNode {
				c.add(v, join(key, name), describe(v)+" where a text is expected")
				return
			}
			out[name] = v.Value
		})
	case yaml.ScalarNode:
		for _, part := range splitList(n.Value) {
			name, text, ok := strings.Cut(part, "=")
			if !ok {
				c.add(n, key, fmt.Sprintf("%q where name=text is expected", part))
				return nil, false
			}
			out[strings.TrimSpace(name)] = strings.TrimSpace(text)
		}
	default:
		c.add(n, key, describe(n)+" where a mapping from names to texts is expected")
		return nil, false
	}
	return out, true
}

// list reads a sequence. A list of texts may also be one text with commas.
func (c *checker) list(elem reflect.Type, n *yaml.Node, key string) (any, bool) {
	out := []any{}
	switch {
	case n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			if v, ok := c.value(elem, item, join(key, strconv.Itoa(i))); ok {
				out = append(out, v)
			}
		}
	case n.Kind == yaml.ScalarNode && elem.Kind() == reflect.String:
		for _, part := range splitList(n.Value) {
			out = append(out, part)
		}
	default:
		c.add(n, key, describe(n)+" where a list is expected")
		return nil, false
	}
	return out, true
}

// scalar reads one text, number, switch or duration.
func (c *checker) scalar(t reflect.Type, n *yaml.Node, key string) (any, bool) {
	want := "a text"
	v, err := any(n.Value), error(nil)
	switch {
	case isDuration(t):
		want = "a duration with its unit (30s, 10ms)"
		_, err = time.ParseDuration(n.Value)
	case t.Kind() == reflect.Int:
		want = "a whole number"
		v, err = strconv.Atoi(n.Value)
	case t.Kind() == reflect.Float64:
		want = "a number"
		v, err = strconv.ParseFloat(n.Value, 64)
	case t.Kind() == reflect.Bool:
		want = "true or false"
		v, err = strconv.ParseBool(n.Value)
	}
	if n.Kind != yaml.ScalarNode || err != nil {
		c.add(n, key, fmt.Sprintf("%s where %s is expected", describe(n), want))
		return nil, false
	}
	return v, true
}

// pairs calls f for each pair of a mapping, once a name.
func (c *checker) pairs(n *yaml.Node, key string, f func(name string, k, v *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		low := strings.ToLower(k.Value)
		switch {
		case k.Kind != yaml.ScalarNode || k.Value == "" || k.Tag == "!!merge":
			c.add(k, key, describe(k)+" as a key; write a plain name")
		case seen[low]:
			c.add(k, join(key, k.Value), "stands here twice; keep one")
		default:
			seen[low] = true
			f(k.Value, k, v)
		}
	}
}

func (c *checker) add(n *yaml.Node, key, text string) {
	c.problems = append(c.problems, Problem{c.at(n), key, text})
}

// at names the place of a node.
func (c *checker) at(n *yaml.Node) string {
	if c.lines && n.Line > 0 {
		return c.source + ":" + strconv.Itoa(n.Line)
	}
	return c.source
}

// describe is a node as an error names it; long values are cut.
func describe(n *yaml.Node) string {
	const longest = 60
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if len(n.Value) > longest {
		return strconv.Quote(n.Value[:longest]) + "..."
	}
	return strconv.Quote(n.Value)
}

// splitList cuts a text at its commas and drops what is empty.
func splitList(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
