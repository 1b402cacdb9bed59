package account

import (
	"net/http"
	"strings"
	"testing"

	"mobilemoney.dev/operator/providers"
)

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
