package loadgen

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	scrapePatience = 5 * time.Second
	maxScrape      = 4 << 20 // bytes
)

// scraper reads a coordinator's /metrics.
type scraper struct {
	url    string
	client *http.Client
}

// newScraper takes host:port or a URL.
func newScraper(address string) (*scraper, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is neither host:port nor a URL", address)
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/metrics") + "/metrics"
	transport := &http.Transport{DisableKeepAlives: true}
	return &scraper{u.String(), &http.Client{Transport: transport, Timeout: scrapePatience}}, nil
}

// sample is what the coordinator tells of itself.
func (s *scraper) sample(ctx context.Context) (sample, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return sample{}, fmt.Errorf("ask for metrics: %w", err)
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return sample{}, fmt.Errorf("ask for metrics: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return sample{}, fmt.Errorf("ask for metrics: it answers %s", answer.Status)
	}
	out, err := parseMetrics(io.LimitReader(answer.Body, maxScrape))
	out.at = time.Now()
	return out, err
}

// parseMetrics reads what we look at of Prometheus' text format.
func parseMetrics(from io.Reader) (sample, error) {
	var s sample
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		name, text, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || math.IsNaN(v) {
			continue
		}
		switch metric := strings.TrimPrefix(name, "cloudretro_"); {
		case metric == "process_resident_memory_bytes":
			s.rss = int64(v)
		case metric == "process_cpu_seconds_total":
			s.cpu = time.Duration(v * float64(time.Second))
		case strings.HasPrefix(metric, "coordinator_sockets{"):
			s.sockets += int(v)
		case strings.HasPrefix(metric, "coordinator_grant_seconds_bucket{"):
			s.grant = s.grant.add(metric, v)
		}
	}
	if err := lines.Err(); err != nil {
		return s, fmt.Errorf("read metrics: %w", err)
	}
	return s, nil
}

// bucket is how many took at most so long, in seconds.
type bucket struct{ le, count float64 }

// buckets are a histogram, by rising bound.
type buckets []bucket

// add takes a line like name{le="0.5"}.
func (b buckets) add(metric string, count float64) buckets {
	_, text, _ := strings.Cut(metric, `le="`)
	text, _, _ = strings.Cut(text, `"`)
	le, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return b
	}
	at, _ := slices.BinarySearchFunc(b, le, func(o bucket, le float64) int { return cmp.Compare(o.le, le) })
	return slices.Insert(b, at, bucket{le, count})
}

// since is what came after an earlier look at the same.
func (b buckets) since(earlier buckets) buckets {
	out := slices.Clone(b)
	for i := range out {
		if i < len(earlier) {
			out[i].count -= earlier[i].count
		}
	}
	return out
}

// times are the quantiles, each the upper bound of its bucket: it was no longer.
func (b buckets) times() Times {
	if len(b) == 0 || b[len(b)-1].count <= 0 {
		return Times{}
	}
	total := b[len(b)-1].count
	at := func(p float64) time.Duration {
		for _, one := range b {
			if one.count >= p*total && !math.IsInf(one.le, 1) {
				return time.Duration(one.le * float64(time.Second))
			}
		}
		return 0
	}
	return Times{Count: int(total), P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}
}
