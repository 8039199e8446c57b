package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// Secrets of an installation: what secrets.worker, secrets.turn and
// secrets.session are in a configuration.
const (
	SecretWorker  = "cloudretro-worker"
	SecretTURN    = "cloudretro-turn" // may have several lines, the newest first
	SecretSession = "cloudretro-session"
)

// SecretKey is where a Secret has its value.
const SecretKey = "secret"

// Bounds of values.
const (
	minSecret  = 16 // characters, as for those of a configuration
	maxSecret  = 1024
	maxSecrets = 16 // lines
)

// Times of reading a Secret.
const (
	secretRequest = 10 * time.Second       // how long the API server may take to answer
	firstRetry    = 200 * time.Millisecond // doubles
	lastRetry     = 3 * time.Second
	reminder      = time.Minute // until it is said again what is waited for
)

// errWait says that it may be different in a moment.
var errWait = errors.New("not yet")

// Secret is the value of a Secret of the namespace, line by line. If there is
// none and create says so, it is made at random: of several processes that do so
// at once one makes it and the others read that one. If create is false it is
// waited for. A Secret that is there is never written to; a malformed one is an
// error. While the API server is away it is tried again until ctx ends, and the
// log says so.
//
// It needs the right to get the Secret and, with create, to create secrets.
func (c *Cluster) Secret(ctx context.Context, name string, create bool) ([]string, error) {
	log := c.Logger.With("secret", name, "namespace", c.Namespace)
	var said time.Time
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		lines, err := c.secret(ctx, name, create)
		if err == nil || !errors.Is(err, errWait) {
			return lines, err
		}
		if time.Since(said) >= reminder && ctx.Err() == nil {
			level := slog.LevelWarn
			if said.IsZero() {
				level = slog.LevelInfo // a coordinator that starts as well is about to make it
			}
			said = time.Now()
			log.Log(ctx, level, "the start waits for a Secret", "cause", err)
		}
		if sleep(ctx, pause); ctx.Err() != nil {
			return nil, fmt.Errorf("wait for Secret %s/%s: %w", c.Namespace, name, errors.Join(ctx.Err(), err))
		}
	}
}

// secret tries once. The error wraps errWait if it may be tried again.
func (c *Cluster) secret(ctx context.Context, name string, create bool) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, secretRequest)
	defer cancel()
	found, err := c.API.Secrets(c.Namespace).Get(ctx, name, metav1.GetOptions{})
	verb := "get"
	if create && apierrors.IsNotFound(err) {
		verb = "create"
		found, err = c.API.Secrets(c.Namespace).Create(ctx, newSecret(name), metav1.CreateOptions{})
		if err == nil {
			c.Logger.Info("Secret made", "secret", name, "namespace", c.Namespace)
		}
	}
	switch {
	case err == nil:
		return secretLines(found)
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%w: there is no Secret %s/%s, which the first coordinator makes", errWait, c.Namespace, name)
	case apierrors.IsForbidden(err) && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil, fmt.Errorf("Secret %s: namespace %s is being deleted", name, c.Namespace)
	case apierrors.IsForbidden(err):
		return nil, c.lacks(err, verb, "secrets", name)
	case apierrors.IsUnauthorized(err):
		return nil, fmt.Errorf("Secret %s/%s: the API server does not know who this is; is the service account's token its own? %w", c.Namespace, name, err)
	}
	return nil, fmt.Errorf("%w: %w", errWait, err) // among them that another one made it just now
}

// lacks is the error of what this process has no right to.
func (c *Cluster) lacks(err error, verb, resource, name string) error {
	return fmt.Errorf("the right to %s %s (%s) in namespace %s is missing: give it to the pod's service account as the Role of its name in deploy/kubernetes does: %w",
		verb, resource, name, c.Namespace, err)
}

// newSecret is a Secret with a random value.
func newSecret(name string) *corev1.Secret {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	component := strings.TrimPrefix(name, "cloudretro-")
	if name == SecretSession {
		component = "coordinator"
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: map[string]string{"app.kubernetes.io/name": "cloudretro", "app.kubernetes.io/component": component},
		},
		Type:      corev1.SecretTypeOpaque,
		Immutable: ptr.To(false),
		Data:      map[string][]byte{SecretKey: []byte(hex.EncodeToString(raw))},
	}
}

// secretLines reads a Secret.
func secretLines(s *corev1.Secret) ([]string, error) {
	lines, err := parseLines(string(s.Data[SecretKey]))
	switch {
	case err != nil:
	case s.Data[SecretKey] == nil:
		err = fmt.Errorf("it has no key %q", SecretKey)
	case len(lines) == 0:
		err = fmt.Errorf("its key %q is empty", SecretKey)
	case len(lines) > 1 && s.Name != SecretTURN:
		err = fmt.Errorf("its key %q has %d lines, which only %s may have", SecretKey, len(lines), SecretTURN)
	}
	if err != nil {
		return nil, fmt.Errorf("Secret %s/%s: %w; put a value of %d characters or more there (openssl rand -hex 32), or delete the Secret and restart the coordinators: one makes it anew",
			s.Namespace, s.Name, err, minSecret)
	}
	return lines, nil
}

// parseLines are the lines of a text that are not empty.
func parseLines(text string) ([]string, error) {
	var lines []string
	if len(text) > maxSecrets*(maxSecret+2) {
		return nil, fmt.Errorf("its key %q has more than %d lines of %d characters", SecretKey, maxSecrets, maxSecret)
	}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			continue
		case len(line) < minSecret:
			return nil, fmt.Errorf("a line of its key %q has only %d characters", SecretKey, len(line))
		case len(line) > maxSecret || strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("a line of its key %q is too long, or not printable ASCII without spaces", SecretKey)
		}
		lines = append(lines, line)
	}
	if len(lines) > maxSecrets {
		return nil, fmt.Errorf("its key %q has more than %d lines", SecretKey, maxSecrets)
	}
	return lines, nil
}

// WatchSecret calls take with the lines of a Secret whenever they are others
// than before, the first time with those that there are, until ctx ends; then it
// returns nil. It starts with a list, so a change that came while the API server
// was away is not missed. A Secret that was deleted or is malformed changes
// nothing, and the log says so.
//
// It needs the rights to list and watch the Secret by its name.
func (c *Cluster) WatchSecret(ctx context.Context, name string, take func([]string)) error {
	log := c.Logger.With("secret", name, "namespace", c.Namespace)
	informer := Informer(c.API, c.API.Secrets(c.Namespace), &corev1.Secret{}, log, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	})
	var last []string
	changed := func(object any) {
		lines, err := secretLines(object.(*corev1.Secret))
		switch {
		case err != nil:
			log.Error("Secret not taken; what it was before holds", "cause", err)
		case !slices.Equal(lines, last):
			last = lines
			take(slices.Clone(lines))
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, object any) { changed(object) },
		DeleteFunc: func(any) { log.Warn("Secret deleted; what it was holds until the next start") },
	})
	if err != nil {
		return fmt.Errorf("watch Secret %s: %w", name, err)
	}
	informer.RunWithContext(ctx)
	return nil
}
