package wiretest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
)

// Wired is a transport that answers every call in memory.
type Wired func(providers.Call) providers.Answer

// Do answers.
func (w Wired) Do(_ context.Context, c providers.Call) (providers.Answer, error) { return w(c), nil }

// Said is the string or number that a JSON object has under a key, read without the
// code under test; empty where there is none, or two.
func Said(body []byte, path ...string) string {
	object := map[string]json.RawMessage{}
	if json.Unmarshal(body, &object) != nil {
		return ""
	}
	found := values(body, path[0])
	var text string
	switch {
	case len(found) != 1:
		return ""
	case len(path) > 1:
		return Said(found[0], path[1:]...)
	case json.Unmarshal(found[0], &text) == nil:
		return text
	case found[0][0] == '-' || found[0][0] >= '0' && found[0][0] <= '9':
		return string(found[0])
	}
	return ""
}

// values that an object has under a key, in any case as encoding/json matches them,
// and however often it comes.
func values(object []byte, name string) (found []json.RawMessage) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil { // the brace
		return nil
	}
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return nil
		}
		if strings.EqualFold(key.(string), name) {
			found = append(found, value)
		}
	}
	return found
}

// SameMoney tells whether money that was read is what was told, or none, which equals nothing.
func SameMoney(read providers.Money, amount, currency string) bool {
	got, _ := new(big.Rat).SetString(read.Amount)
	told, ok := new(big.Rat).SetString(amount)
	return read == (providers.Money{}) || ok && got != nil && got.Cmp(told) == 0 && read.Currency == currency
}

// planted is what Planted puts into a body.
const planted = "canary!"

// Planted puts into a body what no error may show.
func Planted(body []byte) []byte {
	if len(bytes.TrimSpace(body)) == 0 {
		return body
	}
	rest, isObject := bytes.CutPrefix(body, []byte("{"))
	if !isObject {
		return append(slices.Clone(body), planted...)
	}
	comma := ","
	if bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) {
		comma = ""
	}
	return slices.Concat([]byte(`{"`+planted+`":"`+planted+`"`+comma), rest)
}

// CheckShown fails the test if an error, for an answer with that body, shows more of
// the body than its code, or a secret, a URL or what else is hidden; or if it asks
// for a wait that nobody would keep.
func CheckShown(t testing.TB, body []byte, err error, hidden ...string) {
	t.Helper()
	if wait := providers.AsError(err).RetryAfter; wait != 0 && (wait < time.Second || wait > 15*time.Minute) {
		t.Errorf("wait %s", wait)
	}
	text, code := fmt.Sprintf("%v %+v", err, err), providers.SafeCode(Said(body, "code"))
	for _, h := range append([]string{planted, "canary-", "https://"}, hidden...) {
		if strings.Contains(text, h) && !strings.Contains(code, h) {
			t.Errorf("%q shows %q", text, h)
		}
	}
}
