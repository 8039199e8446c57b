package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// Sources is what is laid over the defaults, the later the stronger.
type Sources struct {
	Files   []string // paths of YAML files
	Environ []string // NAME=VALUE, as os.Environ gives them; names without our prefix are not looked at
	Set     []string // key=value, as flags give them
}

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// Default is the configuration of default.yaml. An error would be a mistake in
// that file.
func Default() (Config, error) {
	l := newLoader()
	cfg := l.finish()
	return cfg, l.problems.asError()
}

// Load lays the sources over the defaults and validates the outcome. The error
// is of type Problems and has everything that is wrong; the Config is then of
// no use. Only the files named are touched: folders are checked by
// CheckFolders, by the process that uses them.
func Load(src Sources) (Config, error) {
	l := newLoader()
	for _, name := range src.Files {
		l.file(name)
	}
	for _, v := range variables(src.Environ) {
		l.variable(v)
	}
	for _, assignment := range src.Set {
		l.assignment(assignment)
	}
	cfg := l.finish()
	l.problems = append(l.problems, cfg.validate()...)
	if err := l.problems.asError(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// loader lays layers on one another; viper merges them.
type loader struct {
	viper    *viper.Viper
	problems Problems
}

// newLoader has the defaults as its first layer.
func newLoader() *loader {
	l := &loader{viper: viper.New()}
	l.document(defaultYAML, "default.yaml")
	return l
}

// file lays a YAML file on top.
func (l *loader) file(name string) {
	f, err := os.Open(name)
	if err != nil {
		l.problem(name, "", fileRemedy(err))
		return
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		l.problem(name, "", fileRemedy(err))
	case len(data) > maxFile:
		l.problem(name, "", fmt.Sprintf("larger than %d KiB; is this the right file?", maxFile>>10))
	default:
		l.document(data, name)
	}
}

// fileRemedy says what helps against an error of the file system.
func fileRemedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file; check the path after --config"
	case errors.Is(err, fs.ErrPermission):
		return "may not be read; give this user the right to (chmod, chown)"
	}
	return fmt.Sprintf("cannot be read: %v; name a YAML file", err)
}

// document lays a YAML document on top.
func (l *loader) document(data []byte, name string) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	err := dec.Decode(&root)
	if errors.Is(err, io.EOF) {
		return // empty: nothing is set
	}
	if err == nil {
		if next := dec.Decode(&yaml.Node{}); !errors.Is(next, io.EOF) {
			err = errors.New("a second document begins after ---; keep one")
		}
	}
	if err != nil {
		l.problem(name, "", fmt.Sprintf("is not YAML as it should be: %v", err))
		return
	}
	l.merge(&checker{source: name, lines: true}, path{typ: reflect.TypeFor[Config]()}, root.Content[0])
}

// variable lays one environment variable on top.
func (l *loader) variable(v variable) {
	p, ok := resolve(strings.Split(strings.TrimPrefix(v.name, envPrefix), "_"))
	if !ok {
		l.problems = append(l.problems, unknownVariable(v.name))
		return
	}
	l.text(p, v.value, "environment "+v.name)
}

// assignment lays one "key=value" on top.
func (l *loader) assignment(text string) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		l.problem("--set", text, "is not of the form key=value")
		return
	}
	p, ok := resolve(strings.Split(key, "."))
	if !ok {
		l.problems = append(l.problems, unknown("--set", key))
		return
	}
	l.text(p, value, "--set")
}

// text lays a value that comes as one text on top: YAML in brackets for lists
// and mappings, else a scalar.
func (l *loader) text(p path, value, source string) {
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	trimmed := strings.TrimSpace(value)
	switch {
	case isScalar(p.typ):
		if value == "" && p.typ.Kind() != reflect.String {
			return // an empty variable leaves a number as it was
		}
	case strings.HasPrefix(trimmed, "[") || strings.HasPrefix(trimmed, "{"):
		var root yaml.Node
		if err := yaml.Unmarshal([]byte(trimmed), &root); err != nil || len(root.Content) == 0 {
			if p.typ.Kind() == reflect.Slice && isScalar(p.typ.Elem()) {
				break // [::1]:8000 is a text that begins with a bracket
			}
			l.problem(source, p.key(), "begins with a bracket but is not YAML or JSON; check brackets and quotes")
			return
		}
		node = root.Content[0]
	case trimmed == "" && p.typ.Kind() == reflect.Slice:
		node = &yaml.Node{Kind: yaml.SequenceNode}
	}
	l.merge(&checker{source: source}, p, node)
}

// merge checks a node and lays what it is worth on top, at p.
func (l *loader) merge(c *checker, p path, node *yaml.Node) {
	c.options = l.viper.GetStringMapString
	v, ok := c.value(p.typ, node, p.key())
	l.problems = append(l.problems, c.problems...)
	if !ok {
		return
	}
	for i := len(p.names) - 1; i >= 0; i-- {
		v = map[string]any{strings.ToLower(p.names[i]): v}
	}
	layer, ok := v.(map[string]any)
	if !ok {
		return
	}
	if err := l.viper.MergeConfigMap(layer); err != nil {
		l.problem(c.source, p.key(), err.Error())
	}
}

// finish is the tree of all layers.
func (l *loader) finish() Config {
	var cfg Config
	err := l.viper.Unmarshal(&cfg, func(dc *mapstructure.DecoderConfig) { dc.TagName = "yaml" })
	if err != nil { // the checker let something through that does not fit
		l.problem("", "", err.Error())
	}
	return cfg
}

func (l *loader) problem(source, key, text string) {
	l.problems = append(l.problems, Problem{source, key, text})
}
