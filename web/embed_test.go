package web_test

import (
	"io/fs"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/web"
)

const (
	maxTotal = 214 << 10 // bytes of the game's page
	maxApart = 56 << 10  // bytes of the pages beside it, for signing in and for administration
	maxLines = 400       // of one file
)

// apart says whether a file belongs to another page than the game's.
func apart(name string) bool {
	base := strings.TrimSuffix(path.Base(name), path.Ext(name))
	return base == "signin" || base == "admin" || strings.HasPrefix(base, "admin-")
}

// page returns every embedded file by its path.
func page(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(web.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(web.Files(), name)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSize(t *testing.T) {
	total, beside := 0, 0
	for name, text := range page(t) {
		if apart(name) {
			beside += len(text)
		} else {
			total += len(text)
		}
		if lines := strings.Count(text, "\n"); lines > maxLines {
			t.Errorf("%s has %d lines, more than %d", name, lines, maxLines)
		}
	}
	if total > maxTotal {
		t.Errorf("the page has %d bytes, more than %d", total, maxTotal)
	}
	if beside > maxApart {
		t.Errorf("the pages beside it have %d bytes, more than %d", beside, maxApart)
	}
	t.Logf("the page has %d bytes, the pages beside it %d", total, beside)
}

// The policy of the page forbids all of these, some browsers silently.
func TestNothingInline(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(?:[^>]*)>[^<]|javascript:|data:|<base`),
		".js":   regexp.MustCompile(`\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\bstyle:\s*['"]|https?://[^w]`),
		".css":  regexp.MustCompile(`(?i)@import|https?:|data:`),
		".svg":  regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+=|href=`),
	}
	for name, text := range page(t) {
		re := forbidden[path.Ext(name)]
		if re == nil {
			continue
		}
		if found := re.FindString(text); found != "" {
			t.Errorf("%s has %q", name, found)
		}
	}
}

var (
	importRE = regexp.MustCompile(`(?:from|import)\s*\(?\s*'(\.[^']+)'`)
	workerRE = regexp.MustCompile(`new Worker\('/([^']+)'\)`)
	linkRE   = regexp.MustCompile(`(?:href|src)="/([^"]+)"`)
	srcRE    = regexp.MustCompile(`"src": "/([^"]+)"`)
)

// references maps every file to those it names.
func references(all map[string]string) map[string][]string {
	refs := map[string][]string{}
	for name, text := range all {
		switch path.Ext(name) {
		case ".js":
			for _, m := range importRE.FindAllStringSubmatch(text, -1) {
				refs[name] = append(refs[name], path.Join(path.Dir(name), m[1]))
			}
			for _, m := range workerRE.FindAllStringSubmatch(text, -1) {
				refs[name] = append(refs[name], m[1])
			}
		case ".html":
			for _, m := range linkRE.FindAllStringSubmatch(text, -1) {
				refs[name] = append(refs[name], m[1])
			}
		case ".json":
			for _, m := range srcRE.FindAllStringSubmatch(text, -1) {
				refs[name] = append(refs[name], m[1])
			}
		}
	}
	return refs
}

func TestReferences(t *testing.T) {
	all := page(t)
	used := map[string]bool{"index.html": true, "signin.html": true, "admin.html": true}
	for name, refs := range references(all) {
		for _, ref := range refs {
			used[ref] = true
			if _, ok := all[ref]; !ok {
				t.Errorf("%s names %s, which does not exist", name, ref)
			}
		}
	}
	for name := range all {
		if !used[name] {
			t.Errorf("nobody uses %s", name)
		}
	}
}

// A module that is not preloaded costs a round trip more than its importer.
func TestPreloads(t *testing.T) {
	all := page(t)
	for name := range all {
		if path.Ext(name) != ".js" || name == "app/beat.js" || apart(name) {
			continue
		}
		if !strings.Contains(all["index.html"], `"/`+name+`"`) {
			t.Errorf("index.html does not preload %s", name)
		}
	}
}

// Two modules that import one another make the order of evaluation matter.
func TestNoImportCycles(t *testing.T) {
	refs := references(page(t))
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(name string)
	visit = func(name string) {
		state[name] = open
		for _, ref := range refs[name] {
			switch state[ref] {
			case open:
				t.Errorf("%s and %s import one another", name, ref)
			case 0:
				visit(ref)
			}
		}
		state[name] = done
	}
	for name := range refs {
		if state[name] == 0 {
			visit(name)
		}
	}
}

// The tests of the modules themselves run in Node.
func TestModules(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIPPED: node is not installed, the tests in web/test did not run")
	}
	tests, err := fs.Glob(dirFS, "test/*.test.mjs")
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests in web/test: %v", err)
	}
	out, err := exec.Command(node, append([]string{"--test"}, tests...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("node --test: %v\n%s", err, out)
	}
}
