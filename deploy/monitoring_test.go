package deploy

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// One set of alerts, wherever Prometheus takes them from.
func TestAlertsAreTheSame(t *testing.T) {
	file, err := os.Open("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := documents(t, file)[0].Object
	got := find(t, kustomized(t, "monitoring"), "PrometheusRule/cloudretro").Object["spec"]
	if !reflect.DeepEqual(got, any(want)) {
		t.Errorf("components/monitoring/alerts.yaml is not what alerts.yml is:\n%v\n%v", got, want)
	}
}

// dashboard is what of Grafana's model panels are found by.
type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type string }
	}
	Panels []struct {
		ID         int
		Title      string
		Type       string
		GridPos    struct{ X, Y, W, H int }
		Datasource struct{ UID string }
		Targets    []struct{ RefID, Expr string }
	}
}

func TestDashboards(t *testing.T) {
	boards := as[corev1.ConfigMap](t, find(t, kustomized(t, "monitoring"), "ConfigMap/dashboards"))
	if boards.Labels["grafana_dashboard"] != "1" || len(boards.Data) < 4 {
		t.Errorf("labels %v, dashboards %v", boards.Labels, slices.Collect(maps.Keys(boards.Data)))
	}
	uids := map[string]bool{}
	for name, text := range boards.Data {
		var d dashboard
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.UID == "" || uids[d.UID] || d.Title == "" || d.SchemaVersion < 36 || len(d.Panels) < 8 {
			t.Errorf("%s: uid %q, title %q, schema %d, %d panels", name, d.UID, d.Title, d.SchemaVersion, len(d.Panels))
		}
		uids[d.UID] = true
		if len(d.Templating.List) != 2 || d.Templating.List[0].Name != "datasource" || d.Templating.List[1].Name != "namespace" {
			t.Errorf("%s: variables %v", name, d.Templating.List)
		}
		panels(t, name, d)
	}
}

// panels lie in the grid, none upon another, and each asks for one installation.
func panels(t *testing.T, name string, d dashboard) {
	t.Helper()
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.W <= 0 || p.GridPos.H <= 0 || p.GridPos.X+p.GridPos.W > 24 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: %s: id %d, place %+v, source %q", name, p.Title, p.ID, p.GridPos, p.Datasource.UID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" && taken[at] != p.Title {
					t.Fatalf("%s: %s lies upon %s", name, p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s: %s asks for nothing", name, p.Title)
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, `namespace="$namespace"`) || strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") {
				t.Errorf("%s: %s: %s", name, p.Title, target.Expr)
			}
		}
	}
}
