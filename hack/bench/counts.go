package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/providers/simulator"
)

// counted is what one payment costs in requests, on average.
type counted struct {
	// Requests to the API server about the payment, events included.
	Requests float64 `json:"requests"`
	// Writes of Payment and Charge, the note of the callback included.
	Writes float64 `json:"writes"`
	// ProviderCalls without those for tokens.
	ProviderCalls float64 `json:"provider_calls"`
}

// countTolerance is by how much a count may exceed the checked-in one: what belongs to no payment,
// such as the look at an account's Secret every half minute, falls to one now and then.
const countTolerance = 0.2

// countRequests counts the requests that one payment takes at each provider, by the API server's
// audit log and the simulator's journal.
func (t *trial) countRequests(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "audit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	user := "system:serviceaccount:" + shop.OperatorNamespace + ":" + shop.OperatorAccount
	err = t.with(ctx, 4, pollEvery, func(ctx context.Context, s *stage) error {
		return s.managed(ctx, func(ctx context.Context, _ *manager) error {
			for _, provider := range []string{"mtn", "orange", "wave"} {
				if err := s.countProvider(ctx, dir, provider, t.of(40, 12)); err != nil {
					return fmt.Errorf("%s: %w", provider, err)
				}
			}
			return nil
		})
	}, testenv.WithAudit(dir, user))
	if err != nil {
		return err
	}
	mtn := t.report.Counts["mtn"]
	t.report.set("requests_per_payment", mtn.Requests)
	t.report.set("writes_per_payment", mtn.Writes)
	t.report.set("provider_calls_per_payment", mtn.ProviderCalls)
	t.report.set("provider_calls_per_payment_orange", t.report.Counts["orange"].ProviderCalls)
	t.report.set("provider_calls_per_payment_wave", t.report.Counts["wave"].ProviderCalls)
	return nil
}

// countProvider counts n payments, each with a callback when it is at rest.
func (s *stage) countProvider(ctx context.Context, dir, provider string, n int) error {
	s.paid(payAfter)
	warm, sales := s.market.plan("warm-"+provider, len(s.shops)), s.market.plan(provider, n)
	for _, one := range slices.Concat(warm, sales) {
		one.provider = provider
	}
	if err := s.market.sell(ctx, warm, 0); err != nil {
		return err
	}
	if err := s.market.wait(ctx, warm, ended, burstWithin); err != nil {
		return err
	}
	from, calls := time.Now(), len(s.Sim.Journal())
	if err := s.market.sell(ctx, sales, 8); err != nil {
		return err
	}
	if err := s.market.wait(ctx, sales, ended, burstWithin); err != nil {
		return err
	}
	// Events come a little later.
	if err := sleep(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	requests, err := audited(dir, from)
	if err != nil {
		return err
	}
	out, kinds := counted{}, map[string]int{}
	for _, r := range requests {
		if !r.ofPayment() {
			continue
		}
		kinds[r.String()]++
		out.Requests++
		if r.write() {
			out.Writes++
		}
	}
	for _, call := range s.Sim.Journal()[calls:] {
		if call.Provider == simulator.Provider(provider) && call.Op != simulator.OpToken && call.Op != simulator.OpPage {
			out.ProviderCalls++
		}
	}
	for _, count := range []*float64{&out.Requests, &out.Writes, &out.ProviderCalls} {
		*count = round2(*count / float64(n))
	}
	s.trial.report.Counts[provider] = out
	for kind, count := range kinds {
		s.trial.report.raw("counts", provider+" "+kind, round2(float64(count)/float64(n)))
	}
	s.trial.logf("        %s: %.2f requests, %.2f of them writes; %.2f calls", provider, out.Requests, out.Writes, out.ProviderCalls)
	return nil
}

// request is one line of the audit log.
type request struct {
	Verb      string    `json:"verb"`
	At        time.Time `json:"requestReceivedTimestamp"`
	UserAgent string    `json:"userAgent"`
	Object    struct {
		Group       string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// ofPayment tells whether a request is made for a payment: leases, watches, lists, reviews and the status of accounts are not.
func (r request) ofPayment() bool {
	if r.Verb == "list" || r.Verb == "watch" {
		return false
	}
	switch r.Object.Resource {
	case "payments", "charges", "refunds", "events", "secrets", "namespaces":
		return true
	case "merchantaccounts", "clustermerchantaccounts":
		return r.Object.Subresource == ""
	default:
		return false
	}
}

func (r request) write() bool {
	return r.Verb != "get" && (r.Object.Resource == "payments" || r.Object.Resource == "charges")
}

func (r request) String() string {
	of := strings.TrimSuffix(r.Object.Resource+"/"+r.Object.Subresource, "/")
	if r.Response.Code >= 400 {
		return fmt.Sprintf("%s %s %d", r.Verb, of, r.Response.Code)
	}
	return r.Verb + " " + of
}

// audited are the requests since from, by the audit log in dir.
func audited(dir string, from time.Time) (all []request, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "audit*.log"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		for decoder := json.NewDecoder(bufio.NewReader(f)); ; {
			var r request
			// The last line may be half written.
			if err := decoder.Decode(&r); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("reading the audit log: %w", err)
			}
			if !r.At.Before(from) {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// exceeds names the counts that are above those in file.
func exceeds(file string, got map[string]counted) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var want map[string]counted
	if err := json.Unmarshal(content, &want); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	var more []error
	for provider, w := range want {
		g, ok := got[provider]
		if !ok {
			more = append(more, fmt.Errorf("%s was not counted", provider))
		}
		for _, c := range []struct {
			what      string
			got, want float64
		}{
			{"requests", g.Requests, w.Requests}, {"writes", g.Writes, w.Writes}, {"provider calls", g.ProviderCalls, w.ProviderCalls},
		} {
			if c.got > c.want+countTolerance {
				more = append(more, fmt.Errorf("a payment at %s takes %.2f %s, and took %.2f: mend that, or change %s", provider, c.got, c.what, c.want, file))
			}
		}
	}
	return errors.Join(more...)
}

func round2(f float64) float64 { return float64(int(f*100+0.5)) / 100 }
