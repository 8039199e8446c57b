package coordinator

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// zoneView is a zone as pages are told of it. All coordinators that hear of the
// same workers say the same.
type zoneView struct {
	Name    string
	Probe   string // URL to measure the way to the zone, "" for none
	Workers int    // that are connected
}

// zones are those of the connected workers. All but the snapshot is guarded by
// the registry's mutex.
type zones struct {
	probes map[string]map[string]int // workers by zone and probe URL
	made   atomic.Pointer[zoneList]  // nil since something changed
}

// zoneList is a snapshot; it is never changed.
type zoneList struct {
	zones   []zoneView
	origins []string // of their probes
}

func newZones() *zones { return &zones{probes: map[string]map[string]int{}} }

// count counts a worker in (1) or out (-1).
func (z *zones) count(zone, probe string, n int) {
	probes := z.probes[zone]
	if probes == nil {
		probes = map[string]int{}
		z.probes[zone] = probes
	}
	if probes[probe] += n; probes[probe] <= 0 {
		delete(probes, probe)
	}
	if len(probes) == 0 {
		delete(z.probes, zone)
	}
	z.made.Store(nil)
}

// list makes the snapshot.
func (z *zones) list() *zoneList {
	l := &zoneList{zones: []zoneView{}, origins: []string{}}
	for _, name := range slices.Sorted(maps.Keys(z.probes)) {
		if name == "" || len(l.zones) == signal.MaxZones {
			continue // a worker without a zone is in none
		}
		view := zoneView{Name: name, Probe: mostProbed(z.probes[name])}
		for _, n := range z.probes[name] {
			view.Workers += n
		}
		l.zones = append(l.zones, view)
		if o := originOf(view.Probe); o != "" {
			l.origins = append(l.origins, o)
		}
	}
	slices.Sort(l.origins)
	l.origins = slices.Compact(l.origins)
	z.made.Store(l)
	return l
}

// mostProbed is the URL that most workers of a zone name, so that one alone does
// not speak for the others; of equals the lowest, "" if none names any.
func mostProbed(probes map[string]int) (most string) {
	for probe, n := range probes {
		if probe != "" && (most == "" || n > probes[most] || n == probes[most] && probe < most) {
			most = probe
		}
	}
	return most
}

// originOf is scheme://host[:port] of a URL that was validated, "" for none.
func originOf(probe string) string {
	u, err := url.Parse(probe)
	if err != nil || u.Host == "" {
		return ""
	}
	return cmp.Or(u.Scheme, "https") + "://" + u.Host
}

// zones are all zones by name, at most signal.MaxZones. The slice must not be
// changed.
func (r *registry) zones() []zoneView { return r.zoneList().zones }

func (r *registry) zoneList() *zoneList {
	if l := r.byZone.made.Load(); l != nil {
		return l
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byZone.list()
}

// probeOrigins are the origins that the page measures zones at, for the sources
// it may connect to. The slice must not be changed.
func (c *Coordinator) probeOrigins() []string { return c.registry.zoneList().origins }
