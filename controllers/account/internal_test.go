package account

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// Woken are the accounts that wait to be looked at.
func (f *Findings) Woken(kind string) (names []types.NamespacedName) {
	for len(f.changed[kind]) > 0 {
		names = append(names, client.ObjectKeyFromObject((<-f.changed[kind]).Object))
	}
	return names
}

var deletedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) deletion {
	return deletion{now: deletedAt.Add(d), at: deletedAt, settle: 2 * time.Minute}
}

func TestNeeds_OpenRequestsHoldAnAccount(t *testing.T) {
	type attempt = v1alpha1.Attempt
	open := attempt{Sends: 1, Open: []v1alpha1.Send{{Number: 1}}}
	void := attempt{Sends: 2}
	taken := attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1}}
	refused := attempt{Sends: 1, Refusal: &v1alpha1.Refusal{}}
	unknown := attempt{Sends: 1, Taken: &v1alpha1.Taken{}, Unknown: &v1alpha1.Unknown{}}
	paid := attempt{Sends: 1, Taken: &v1alpha1.Taken{}, Outcome: &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded}}
	charge := func(a attempt, refunds ...attempt) v1alpha1.ChargeRecord {
		rec := v1alpha1.ChargeRecord{Attempt: a}
		for _, r := range refunds {
			rec.Refunds = append(rec.Refunds, v1alpha1.ChargeRefund{Attempt: r})
		}
		return rec
	}
	byReference := providers.Traits{Recovery: providers.RecoverByReference, Refund: providers.RefundPartial}
	byHand := providers.Traits{Recovery: providers.RecoverByRepeat, Refund: providers.RefundManual}
	for name, c := range map[string]struct {
		record v1alpha1.ChargeRecord
		traits providers.Traits
		passed time.Duration
		want   bool
	}{
		"never sent, just now":        {charge(attempt{}), byReference, time.Minute, true},
		"never sent":                  {charge(attempt{}), byReference, time.Hour, false},
		"every send void":             {charge(void), byReference, time.Hour, false},
		"open":                        {charge(open), byReference, 90 * 24 * time.Hour, true},
		"taken":                       {charge(taken), byHand, time.Hour, true},
		"refused, to be confirmed":    {charge(refused), byReference, time.Hour, true},
		"unknown":                     {charge(unknown), byReference, time.Hour, false},
		"over":                        {charge(paid), byReference, 0, false},
		"a refund that is over":       {charge(paid, paid), byReference, 0, false},
		"a refund under way":          {charge(paid, paid, open), byReference, time.Hour, true},
		"a refund that was taken":     {charge(paid, taken), byReference, time.Hour, true},
		"a refund that was refused":   {charge(paid, refused), byReference, time.Hour, true},
		"a refund by hand":            {charge(paid, open), byHand, 0, false},
		"a refund that is unknown":    {charge(paid, unknown), byReference, time.Hour, false},
		"a reservation of just now":   {charge(paid, attempt{}), byReference, time.Minute, true},
		"a reservation, nothing sent": {charge(paid, attempt{}), byReference, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := after(c.passed).needs(&v1alpha1.Charge{Record: c.record}, c.traits); got != c.want {
				t.Errorf("needs: %t", got)
			}
		})
	}
}

// Credentials leave for the provider's own host by https, or for exactly a host that
// the platform team allowed, whatever a tenant writes.
func FuzzH5Endpoints(f *testing.F) {
	const own, allowed, other = "api.wave.com", "gw.example:8443", "evil.example"
	for _, s := range []string{
		"https://api.wave.com", "https://api.wave.com:443/v1", "https://gw.example:8443/wave", "http://gw.example:8443",
		"http://api.wave.com", "https://api.wave.com:8443", "https://gw.example", "https://API.WAVE.COM", "https://api.wave.com.",
		"https://api.wave.com@evil.example", "https://api.wave.com:443@evil.example/", "https://evil.example#@api.wave.com",
		`https://evil.example\@api.wave.com`, `https://api.wave.com\.evil.example`, "https://api.wave.com%2eevil.example",
		"https://api.wave.com%00.evil.example", "https://api.wave.com/../@evil.example", "//api.wave.com", "https:api.wave.com",
		"https://api.wave.com.evil.example", "https://evil.example/api.wave.com", "https://ａpi.wave.com", "https://[api.wave.com]",
		"https://169.254.169.254/latest", "https://[::1]", "https://[::ffff:10.0.0.1]", "https://2130706433", "https://0x7f.1",
		"https://kubernetes.default.svc", "https://localhost", "file:///etc/passwd", "gopher://gw.example:8443", "javascript://gw.example:8443",
		"https://gw.example:8443.evil.example", "https://gw.example:84430", "https://gw.example:08443", " https://api.wave.com", "https://api.wave.com\r\nHost: x",
	} {
		f.Add(s)
	}
	account := &Account{Kind: providers.Kind{Hosts: []string{own}}}
	f.Fuzz(func(t *testing.T, raw string) {
		if raw == "" || account.checkEndpoint(raw, []string{allowed}) != nil {
			return
		}
		// It is allowed: then this is where net/http goes, by its own reading.
		req, err := http.NewRequest(http.MethodPost, raw, nil)
		if err != nil {
			return // nothing can be sent there
		}
		switch scheme, host := req.URL.Scheme, req.URL.Host; {
		case host == allowed && (scheme == "https" || scheme == "http"):
		case scheme == "https" && (host == own || host == own+":443" || host == own+":"):
		default:
			t.Fatalf("%q leads to %s://%s", raw, scheme, host)
		}
		if strings.Contains(req.URL.Host, other) {
			t.Fatalf("%q leads to %s", raw, other)
		}
	})
}
