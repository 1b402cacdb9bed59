package wire_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

func TestDecode(t *testing.T) {
	type shape struct {
		Status string      `json:"status"`
		N      wire.Scalar `json:"n"`
	}
	good := map[string]shape{
		`{}`: {},
		`{"status":"A","n":1,"unknown":{"deep":[1,{"x":null}]}}`: {"A", "1"},
		` {"status":"A","n":"1.50"} ` + "\n":                     {"A", "1.50"},
		`{"status":null,"n":null}`:                               {},
		`{"x":{"status":1},"y":{"status":2},"status":"A"}`:       {Status: "A"},
		`{"n":123456789012345678901234567890}`:                   {N: "123456789012345678901234567890"},
	}
	for text, want := range good {
		var got shape
		if err := wire.Decode([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	bad := []string{
		``, ` `, `null`, `"text"`, `1`, `[]`, `[{}]`, `<html>Request Rejected</html>`,
		`{`, `{"status"`, `{"status":`, `{"status":"A"`, `{"status":"A",`, `{"x":[1,`, `{"x":[1}`, `{"x":{"y":1}`,
		`{"status":"A"}{}`, `{"status":"A"} x`, `{"status":"A"}]`,
		`{"status":1}`, `{"status":{}}`, `{"status":["A"]}`, `{"status":true}`, `{"n":true}`, `{"n":{}}`, `{"n":[1]}`,
		`{"status":"A","status":"B"}`, `{"status":"A","Status":"B"}`, "{\"status\":\"A\",\"\u017ftatus\":\"B\"}",
		`{"sta\u0074us":"A","status":"B"}`, `{"x":[{"a":1,"a":2}]}`, `{"x":{"a":1,"A":2}}`,
		`{"k":1,"` + "\u212a" + `":2}`,
		`{"x":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}`,
		`{"x":` + strings.Repeat(`{"x":`, 40) + `1` + strings.Repeat(`}`, 40) + `}`,
		"\x1f\x8b\x08\x00", // gzip
	}
	for _, text := range bad {
		var got shape
		if err := wire.Decode([]byte(text), &got); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]time.Duration{
		"":                              0,
		"soon":                          0,
		"1.5":                           0,
		"0":                             time.Second,
		"-5":                            time.Second,
		"1":                             time.Second,
		"30":                            30 * time.Second,
		" 30 ":                          30 * time.Second,
		"900":                           15 * time.Minute,
		"901":                           15 * time.Minute,
		"999999999":                     15 * time.Minute,
		"9223372036854775807":           15 * time.Minute,
		"99999999999999999999999":       15 * time.Minute,
		"-99999999999999999999999":      time.Second,
		"Fri, 01 May 2026 12:01:00 GMT": time.Minute,
		"Fri, 01 May 2026 11:00:00 GMT": time.Second,
		"Fri, 01 May 2099 12:00:00 GMT": 15 * time.Minute,
	}
	for text, want := range tests {
		if got := wire.RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := wire.RetryAfter(nil, now); got != 0 {
		t.Error(got)
	}
}

func TestPlainText(t *testing.T) {
	tests := map[string]string{
		"":                       "",
		"Order 1042":             "Order 1042",
		"Café d'Abidjan":         "Cafe d Abidjan",
		"Crème brûlée & œufs":    "Creme brulee oeufs",
		"Ñandú, Åse, Zoë, Łódź":  "Nandu Ase Zoe Lodz",
		"  a \t\n b  ":           "a b",
		"Facture n°12/2026":      "Facture n 12 2026",
		"v1.2-rc":                "v1.2-rc",
		"Ɛdɔ ŋ":                  "Edo n",
		"Tomɛ\u0301":             "Tome",
		"<script>alert</script>": "script alert script",
		"\x00\x1b[31m":           "31m",
		"١٢٣":                    "",
		"日本":                     "",
		"ﬁn":                     "fin",
		"\xff\xfe":               "",
		// Bambara, Fula, Hausa, Ewe, Kabiye.
		"Ɲinɛ, muso ɲuman": "Nine muso numan",
		"Ƙofar ƙarfe":      "Kofar karfe",
		"Ƴaƴa, ƴiiƴam":     "Yaya yiiyam",
		"ɓalaŋ Ɓ ɗuɗal Ɗ":  "balan B dudal D",
		"Ɖeɖe ƒo Ƒo":       "Dede fo Fo",
		"ɣe Ɣe ʋu Ʋu":      "ge Ge vu Vu",
		"kɩlɩm Ɩ hʊlʊm Ʊ":  "kilim I hulum U",
		"ɛ̃ Ɛ́ ɔ̀ Ɔ̃":      "e E o O",
		"kǝrǝ kərə Ǝ Ə":    "kere kere E E",
		// Letters of others who live there.
		"Đorđe, Ðuro, þing, Þór": "Dorde Duro thing THor",
		"Aydın, ħabib, Ħal":      "Aydin habib Hal",
		"ǽ Ǿ":                    "ae O",
		"Awa – riz — 5 kg, 10‑12, 3−1 ‐": "Awa - riz - 5 kg 10-12 3-1 -",
		"5€, €5 et 5 €":                  "5 EUR EUR 5 et 5 EUR",
		"Awa & Fils, A&B":                "Awa Fils A B",
	}
	for text, want := range tests {
		if got := wire.PlainText(text, 160); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := wire.PlainText(strings.Repeat("a", 159)+" b", 160); got != strings.Repeat("a", 159) {
		t.Errorf("%q", got)
	}
	if got := wire.PlainText(strings.Repeat("é", 200), 160); got != strings.Repeat("e", 160) {
		t.Errorf("%q", got)
	}
}

func TestWords_Properties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(rapid.String(), rapid.StringMatching(`-?[0-9]{1,25}`)).Draw(t, "word")
		checkWord(t, word, rapid.IntRange(0, 200).Draw(t, "limit"))
	})
}

func TestEcho(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "cos-1b01": "cos-1b01", "a b": "unreadable", "a\x00": "unreadable",
		strings.Repeat("a", 64): strings.Repeat("a", 64), strings.Repeat("a", 65): "unreadable",
	} {
		if got := wire.Echo(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestTokens(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "abc": true, strings.Repeat("a", 255): true, strings.Repeat("a", 256): false,
		"a b": false, "a\r\nX: y": false, "é": false, "a\x7f": false,
	} {
		if got := wire.IsToken(text, wire.MaxToken); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if wire.IsAccessToken(strings.Repeat("a", 8<<10+1)) || !wire.IsAccessToken(strings.Repeat("a", 8<<10)) {
		t.Error("8 KiB is the limit")
	}
}

func TestPaymentURLs(t *testing.T) {
	https, http := "https://api.wave.com", "http://127.0.0.1:80"
	tests := []struct {
		url, base string
		want      bool
	}{
		{"https://pay.wave.com/c/cos-1?a=100&c=XOF", https, true},
		{"https://pay.wave.com/c/cos-1", http, true},
		{"http://127.0.0.1/pay", http, true},
		{"http://pay.wave.com/c/cos-1", https, false},
		{"javascript:alert(1)", https, false},
		{"javascript://host/%0aalert(1)", https, false},
		{"data:text/html,x", https, false},
		{"//pay.wave.com/c", https, false},
		{"/c/cos-1", https, false},
		{"https://user:pw@pay.wave.com/", https, false},
		{"https://pay.wave.com/a b", https, false},
		{"https://pay.wave.com/%zz", https, false},
		{"https://pay.wave.com/" + strings.Repeat("a", 2048), https, false},
		{"", https, false},
	}
	for _, tt := range tests {
		if got := wire.IsPayerURL(tt.url, tt.base); got != tt.want {
			t.Errorf("%q at %s: %v", tt.url, tt.base, got)
		}
	}
}

func TestAccessToken(t *testing.T) {
	good := map[string]time.Duration{
		`{"token_type":"Bearer","access_token":"abc","expires_in":3600}`:      time.Hour,
		`{"token_type":"Bearer","access_token":"abc","expires_in":"7776000"}`: 90 * 24 * time.Hour,
		`{"access_token":"abc"}`:                                   0,
		`{"access_token":"abc","expires_in":"soon"}`:               0,
		`{"access_token":"abc","expires_in":-5}`:                   -5 * time.Second,
		`{"access_token":"abc","expires_in":99999999999999999999}`: (1<<31 - 1) * time.Second,
	}
	for body, want := range good {
		value, life, err := wire.AccessToken("token", providers.Answer{Status: 200, Body: []byte(body)})
		if err != nil || value != "abc" || life != want {
			t.Errorf("%s: %s, %v", body, life, err)
		}
	}
	for _, body := range []string{``, `<html>`, `{}`, `{"access_token":""}`, `{"access_token":1}`, `{"access_token":"a b"}`, `{"access_token":"a","expires_in":{}}`} {
		if _, _, err := wire.AccessToken("token", providers.Answer{Status: 200, Body: []byte(body)}); providers.ClassOf(err) != providers.ClassUnknown || err == nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestAccountChecks(t *testing.T) {
	for raw, want := range map[string]string{
		"https://api.example":      "https://api.example",
		"https://api.example/v1//": "https://api.example/v1",
		"http://127.0.0.1:8080/":   "http://127.0.0.1:8080",
	} {
		if got, err := wire.BaseURL("baseURL", raw); err != nil || got != want {
			t.Errorf("%s: %s, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"", "api.example", "ftp://api.example", "https://", "https://u:canary@api.example", "https://api.example?canary", "https://api.example#canary", "https://canary%zz", ":"} {
		_, err := wire.BaseURL("baseURL", raw)
		if providers.ClassOf(err) != providers.ClassMisconfigured || err == nil || !strings.Contains(err.Error(), "baseURL") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", raw, err)
		}
	}
	err := wire.CheckCredentials(map[string]providers.Secret{"a": "x", "b": "canary\n"}, "a", "b")
	if providers.ClassOf(err) != providers.ClassMisconfigured || !strings.Contains(err.Error(), " b ") || strings.Contains(err.Error(), "canary") {
		t.Errorf("a line break: %v", err)
	}
}
