package process

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metrics of a process, by name and labels as they are written.
type Metrics map[string]float64

// Scrape reads the metrics of the process that serves them at address (host:port).
func Scrape(ctx context.Context, address string) (Metrics, error) {
	resp, err := get(ctx, "http://"+address+"/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	m := Metrics{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("reading the metrics: %w", err)
		}
		m[line[:i]] = value
	}
	return m, lines.Err()
}

// Sum adds the samples of a metric.
func (m Metrics) Sum(name string) (total float64) {
	for key, value := range m {
		if metric, _, _ := strings.Cut(key, "{"); metric == name {
			total += value
		}
	}
	return total
}

// Answers tells whether url answers 200.
func Answers(ctx context.Context, url string) bool {
	resp, err := get(ctx, url)
	return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	c := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return c.Do(req)
}
