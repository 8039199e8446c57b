package acme

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/certificate/certificatetest"
)

// A certificate from the folder is shown without a question to the authority,
// and what is wrong about its renewal is told, the near end once a day.
func TestLook(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "acme")
	log := &said{}
	i, err := New(Config{
		Domains: []string{"play.example.org"}, CacheDir: dir, DirectoryURL: "https://127.0.0.1:1/dir", Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer i.witness.close()
	end := time.Now().Add(time.Hour) // after a life of two: its last quarter is half an hour
	pair := certificatetest.New(t, "play.example.org", end)
	if err := os.WriteFile(filepath.Join(dir, "play.example.org"), append(pair.Key, pair.Cert...), 0o600); err != nil {
		t.Fatal(err)
	}
	d := i.order[0]
	cert, err := i.get(d)
	if err != nil {
		t.Fatal(err)
	}
	i.show(d, cert)
	if s := i.Status()[0]; s.Expires.Unix() != end.Unix() || s.Failures != 0 {
		t.Errorf("status %+v", s)
	}
	i.look(d, time.Now())
	if strings.Contains(log.String(), "WARN") {
		t.Errorf("all is well: %s", log)
	}
	i.witness.keep(problem{"dns", "other.example.org", "not ours"})
	i.witness.keep(problem{"connection", "play.example.org", "no route"})
	for range 3 {
		i.look(d, time.Now())
	}
	if strings.Count(log.String(), "renewal meets a problem") != 1 || !strings.Contains(log.String(), "connection: no route") || i.Status()[0].Failures != 1 {
		t.Errorf("a renewal that failed: %s", log)
	}
	for range 3 {
		i.look(d, end.Add(-20*time.Minute))
	}
	if n := strings.Count(log.String(), "expires soon"); n != 1 {
		t.Errorf("the near end is told %d times: %s", n, log)
	}
	d.expires.Store(0) // as if it had been another one
	i.look(d, time.Now())
	if !strings.Contains(log.String(), "certificate renewed") {
		t.Errorf("a renewal: %s", log)
	}
}
