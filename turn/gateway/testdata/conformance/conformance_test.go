// Package conformance runs the conformance suite of the Gateway API against the
// controller that serves a GatewayClass. It is a module of its own, so that
// nothing of the suite gets into the product.
//
// The features that are claimed are those in the status of the GatewayClass, from
// where the suite takes them: Gateway, GatewayInfrastructure, ReferenceGrant and
// UDPRoute. Of its tests for them, most reach for what a TURN gate is not: HTTP
// listeners, and datagrams that are forwarded as they come, without an allocation.
// Those are skipped, each with its reason, in TestConformance, whose report counts
// the others. TestStatuses runs what the tests with datagrams say of conditions, and
// with a listener of UDP the one for metadata.
package conformance

import (
	"bytes"
	"flag"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

var report = flag.String("report-file", "", "where the report is written")

const (
	needsHTTP     = "its Gateways have HTTP or HTTPS listeners, which a TURN gate refuses with UnsupportedProtocol"
	needsDatagram = "it sends plain datagrams to a listener, where a TURN gate speaks TURN alone"
)

// skipped are tests of the claimed features that do not apply, and why.
var skipped = map[string]string{
	"GatewayInfrastructureMetadata":             needsHTTP,
	"GatewayInvalidRouteKind":                   needsHTTP,
	"GatewayInvalidTLSConfiguration":            needsHTTP,
	"GatewayModifyListeners":                    needsHTTP,
	"GatewayObservedGenerationBump":             needsHTTP,
	"GatewayListenerUnsupportedProtocol":        needsHTTP,
	"GatewaySecretInvalidReferenceGrant":        needsHTTP,
	"GatewaySecretMissingReferenceGrant":        needsHTTP,
	"GatewaySecretReferenceGrantAllInNamespace": needsHTTP,
	"GatewaySecretReferenceGrantSpecific":       needsHTTP,
	"UDPRoute":                                  needsDatagram,
	"UDPRouteReferenceGrant":                    needsDatagram,
	"UDPRouteWeightedRouting":                   needsDatagram,
	"UDPRouteMultipleRoutesAttachment":          needsDatagram,
	"UDPRouteParentRefAttachAllListeners":       needsDatagram,
	"UDPRouteParentRefPortAndSectionName":       needsDatagram,
}

// statuses are tests that say something of conditions or metadata. Subtests with
// datagrams are left out by -skip.
var statuses = []string{"GatewayInfrastructureMetadata", "UDPRouteReferenceGrant", "UDPRouteMultipleRoutesAttachment", "UDPRouteParentRefAttachAllListeners"}

// TestConformance runs the tests that apply as they are and writes the report.
func TestConformance(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(skipped)) {
		if !slices.ContainsFunc(tests.ConformanceTests, func(test suite.ConformanceTest) bool { return test.ShortName == name }) {
			t.Errorf("there is no test %s to skip", name)
		}
		t.Logf("skipped: %s: %s", name, skipped[name])
	}
	opts := options(t)
	opts.ReportOutputPath = *report
	opts.SkipTests = slices.Collect(maps.Keys(skipped))
	conformance.RunConformanceWithOptions(t, opts)
}

// TestStatuses runs what tests with datagrams say of conditions.
func TestStatuses(t *testing.T) {
	for _, test := range tests.ConformanceTests {
		if !slices.Contains(statuses, test.ShortName) {
			continue
		}
		opts := options(t)
		opts.RunTest, opts.SupportedFeatures = test.ShortName, test.Features
		s, err := suite.NewConformanceTestSuite(opts)
		if err != nil {
			t.Fatal(err)
		}
		s.Setup(t, []suite.ConformanceTest{test})
		if err := s.Run(t, []suite.ConformanceTest{test}); err != nil {
			t.Error(err)
		}
	}
}

func options(t *testing.T) suite.ConformanceOptions {
	opts := conformance.DefaultOptions(t)
	opts.ManifestFS = []fs.FS{noWorkloads{&conformance.Manifests}}
	opts.ConformanceProfiles = []suite.ConformanceProfileName{suite.GatewayUDPConformanceProfileName}
	opts.CleanupBaseResources, opts.CleanupTestResources = false, true // who runs this deletes the namespaces
	opts.Implementation = confv1.Implementation{
		Organization: "cloudretro", Project: "cloudretro", URL: "https://github.com/cloudretro/cloudretro",
		Version: "main", Contact: []string{"https://github.com/cloudretro/cloudretro/issues"},
	}
	opts.TimeoutConfig.DefaultTestTimeout, opts.TimeoutConfig.NamespacesMustBeReady = time.Minute, time.Minute
	for _, namespace := range []string{suite.InfrastructureNamespace, suite.AppBackendNamespace, suite.WebBackendNamespace} {
		standIn(t, opts, namespace)
	}
	return opts
}

// standIn makes a pod that nobody runs and that counts as ready: the suite waits
// for one in each of its namespaces.
func standIn(t *testing.T, opts suite.ConformanceOptions, namespace string) {
	t.Helper()
	ctx := t.Context()
	err := opts.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	if client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "stand-in", Namespace: namespace},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"conformance": "no-such-node"},
			Containers:   []corev1.Container{{Name: "none", Image: "none"}},
		},
	}
	if err := opts.Client.Create(ctx, pod); apierrors.IsAlreadyExists(err) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}`)
	if err := opts.Client.Status().Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
}

// noWorkloads are the suite's manifests without its servers, whose images need a
// registry, and without the Gateways of HTTP that all of its tests share. The one
// for metadata has a listener of UDP, where it is of HTTP.
type noWorkloads struct{ fs.FS }

func (f noWorkloads) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".yaml") {
		return file, err
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	var kept []string
	for _, document := range strings.Split(string(text), "\n---\n") {
		workload := strings.Contains(document, "\nkind: Deployment\n") || strings.HasPrefix(document, "kind: Deployment\n")
		shared := strings.HasPrefix(name, "base/") && strings.Contains("\n"+document, "\nkind: Gateway\n")
		if !workload && !shared {
			kept = append(kept, document)
		}
	}
	joined := strings.Join(kept, "\n---\n")
	if name == "tests/gateway-infrastructure.yaml" {
		joined = strings.ReplaceAll(joined, "protocol: HTTP", "protocol: UDP")
	}
	data := []byte(joined)
	return &manifest{bytes.NewReader(data), info, int64(len(data))}, nil
}

// manifest is a file in memory.
type manifest struct {
	*bytes.Reader
	info fs.FileInfo
	size int64
}

func (m *manifest) Stat() (fs.FileInfo, error) { return sized{m.info, m.size}, nil }
func (m *manifest) Close() error               { return nil }

type sized struct {
	fs.FileInfo
	size int64
}

func (s sized) Size() int64 { return s.size }
