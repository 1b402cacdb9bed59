package wire_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// What is read is what a plain reading of the JSON says, and never one of two answers; a refusal quotes nothing.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"status":"A","n":1}`, `{"status":`, `{}`, ` {"n":"1.50","x":{"status":1}} `, `{"status":"A","Status":"B"}`, "{\"status\":\"A\",\"\u017ftatus\":\"B\"}",
		`{"sta\u0074us":"A","status":"B"}`, `{"n":1e400}`, `{"n":-0.0}`, `{"n":123456789012345678901234567890}`, `[{}]`, `null`, `{}{}`, "{\"\xff\":1,\"\ufffd\":2}",
		`{"x":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}`, `<html>Request Rejected</html>`, "\ufeff{}", `{"status":"\ud800"}`, `{"n":true}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got struct {
			Status string      `json:"status"`
			N      wire.Scalar `json:"n"`
		}
		if err := wire.Decode(body, &got); err != nil {
			checkQuotesNothing(t, body, err)
			return
		}
		var plain map[string]any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&plain); err != nil {
			t.Fatalf("%q was read, but: %v", body, err)
		}
		if status := text(plain, "status"); got.Status != status || string(got.N) != text(plain, "n") {
			t.Fatalf("%q was read as %+v", body, got)
		}
		checkNoSecondKey(t, body, plain)
	})
}

// text of a string or number under a key, in whatever case.
func text(object map[string]any, key string) string {
	for k, v := range object {
		if strings.EqualFold(k, key) {
			switch v := v.(type) {
			case string:
				return v
			case json.Number:
				return v.String()
			}
		}
	}
	return ""
}

// checkNoSecondKey: each key that is there is refused when it comes once more.
func checkNoSecondKey(t *testing.T, body []byte, plain map[string]any) {
	t.Helper()
	_, rest, _ := bytes.Cut(body, []byte("{"))
	for key := range plain {
		for _, again := range []string{key, strings.ToUpper(key), strings.ToLower(key)} {
			name, err := json.Marshal(again)
			if err != nil {
				t.Fatal(err)
			}
			twice := `{` + string(name) + `:null,` + string(rest)
			if strings.EqualFold(again, key) && wire.Decode([]byte(twice), &struct{}{}) == nil {
				t.Fatalf("%q was read", twice)
			}
		}
	}
}

// checkQuotesNothing: a refusal is in our own words, whatever is before or behind the mistake.
func checkQuotesNothing(t *testing.T, body []byte, err error) {
	t.Helper()
	for _, err := range []error{
		err, wire.Decode([]byte(string(body)+"canary51"), &struct{}{}), wire.Decode([]byte("canary51"+string(body)), &struct{}{}),
	} {
		if err == nil || strings.Trim(err.Error(), letters+" ") != "" || strings.Contains(err.Error(), "canary") {
			t.Fatalf("%q: %v", body, err)
		}
	}
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// The small readers: of texts for payers, headers, tokens, URLs and references.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{
		"Café d'Abidjan", "Crème brûlée & œufs", "ﬁn", "日本", "\xff\xfe", "a\x00b\x1b[31m", "Tomɛ\u0301", "e\u0301\u0301", "½ ﷺ ǅ", strings.Repeat("é", 200),
		"30", " 30 ", "-5", "1.5", "99999999999999999999999", "+7", "1e3", "Fri, 01 May 2026 12:01:00 GMT", "Friday, 01-May-26 12:01:00 GMT", "Fri, 01 May 0000 12:01:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
		"https://pay.wave.com/c/cos-1?a=100&c=XOF", "http://127.0.0.1/pay", "javascript://host/%0aalert(1)", "https://user:pw@pay.wave.com/", "//pay.wave.com", "https://[::1]:443/", "https://\u202e.example/", "HTTPS://pay.example",
		"cos-1b01sghpg100j", "a b", strings.Repeat("a", 65), "../..", "",
	} {
		f.Add(seed, uint8(160))
	}
	f.Add("Order 1042", uint8(6)) // cut before a blank
	f.Fuzz(func(t *testing.T, word string, limit uint8) { checkWord(t, word, int(limit)) })
}

func checkWord(t rapid.TB, word string, limit int) {
	t.Helper()
	checkPlain(t, word, limit)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	if d := wire.RetryAfter(http.Header{"Retry-After": {word}}, now); d != 0 && (d < time.Second || d > 15*time.Minute) {
		t.Errorf("%q: %s", word, d)
	}
	if got := wire.Echo(word); got != word && got != "unreadable" || providers.SafeID(got) != got {
		t.Errorf("%q came back as %q", word, got)
	}
	if wire.IsToken(word, limit) && (word == "" || len(word) > limit || strings.ContainsFunc(word, func(r rune) bool { return r < '!' || r > '~' })) {
		t.Errorf("%q is a token", word)
	}
	checkPayerURL(t, word)
}

func checkPlain(t rapid.TB, word string, limit int) {
	t.Helper()
	plain := wire.PlainText(word, limit)
	if strings.Trim(plain, letters+"0123456789 .-") != "" || len(plain) > limit || strings.TrimSpace(plain) != plain || strings.Contains(plain, "  ") {
		t.Errorf("%q became %q", word, plain)
	}
	if again := wire.PlainText(plain, limit); again != plain {
		t.Errorf("%q became %q, then %q", word, plain, again)
	}
}

func checkPayerURL(t rapid.TB, word string) {
	t.Helper()
	secure, simulated := wire.IsPayerURL(word, "https://api.example"), wire.IsPayerURL(word, "http://127.0.0.1:1")
	if !simulated {
		if secure {
			t.Errorf("%q is a page for payers only where it is not simulated", word)
		}
		return
	}
	scheme, rest, _ := strings.Cut(word, "://")
	scheme = strings.ToLower(scheme)
	host := rest[:len(rest)-len(strings.TrimLeftFunc(rest, func(r rune) bool { return !strings.ContainsRune("/?#", r) }))]
	odd := strings.ContainsFunc(word, func(r rune) bool { return r < '!' || r > '~' })
	if secure != (scheme == "https") || !secure && scheme != "http" || host == "" || strings.Contains(host, "@") || odd {
		t.Errorf("%q is a page for payers: %v, and simulated", word, secure)
	}
}
