package canary_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers/providertest/canary"
)

const (
	secret = "s3cr3t/key+of=\"Awa\" & co"
	phone  = "+2250501020304"
)

func scanner() *canary.Scanner {
	s := canary.New()
	s.Secret("key", secret)
	s.Phone("payer", phone)
	return s
}

func TestO8FindsPlantedLeaks(t *testing.T) {
	quoted, _ := json.Marshal(secret)
	twice, _ := json.Marshal(string(quoted))
	b := []byte(secret)
	planted := map[string]string{
		"raw": secret, "lower": strings.ToLower(secret), "upper": strings.ToUpper(secret), "JSON": string(quoted), "JSON in JSON": string(twice),
		"%q": fmt.Sprintf("%q", secret), "%#v": fmt.Sprintf("%#v", secret), "%x": fmt.Sprintf("%x", secret), "%X": fmt.Sprintf("%X", secret),
		"bytes": fmt.Sprint(b), "bytes in Go": fmt.Sprintf("%#v", b), "dump": hex.Dump(append([]byte("xyz"), b...)),
		"query": url.QueryEscape(secret), "path": url.PathEscape(secret), "base64": base64.StdEncoding.EncodeToString(b),
		"basic": "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+secret+":more")),
		"url":   base64.URLEncoding.EncodeToString([]byte("x" + secret)),
		"raw64": base64.RawURLEncoding.EncodeToString([]byte("xy" + secret + "z")),
	}
	for name, text := range planted {
		if got := scanner().Find("some text before " + text + " and after"); len(got) != 1 || got[0].Name != "key" {
			t.Errorf("%s: found %v in %s", name, got, text)
		}
	}
}

func TestO8FindsPhones(t *testing.T) {
	for _, text := range []string{
		phone, phone[1:], "00" + phone[1:], "0501020304", "05 01 02 03 04", "+225 05 01 02 03 04", "+225-05-01-02-03-04", "(+225) 05.01.02.03.04",
		"tel:%2B2250501020304", base64.StdEncoding.EncodeToString([]byte(`{"partyId":"2250501020304"}`)), hex.EncodeToString([]byte(phone)),
		"05\u00a001\u202f02 03 04",
	} {
		if got := scanner().Find("to " + text + "."); len(got) != 1 || got[0].Name != "payer" {
			t.Errorf("found %v in %q", got, text)
		}
	}
}

// What is masked, and what only looks alike, is no leak. A Leak shows no secret.
func TestO8FindsNothingElse(t *testing.T) {
	for _, text := range []string{"", "+***04", "[masked]", "2026-11-25T17:38:22.051Z 5000 XOF", "s3cr3t", "the key of Awa"} {
		if got := scanner().Find(text); len(got) != 0 {
			t.Errorf("found %v in %q", got, text)
		}
	}
	for _, l := range scanner().Find(secret + phone) {
		if len(scanner().Find(fmt.Sprintf("%v %+v %#v", l, l, l))) != 0 {
			t.Errorf("%v shows what it found", l)
		}
	}
	s := canary.New()
	s.Secret("short", "12345")
	if got := s.Find("12345"); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}

func TestO8FindsAnySecretAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[ -~]{12,40}`).Draw(t, "secret")
		before, after := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "after")
		s := canary.New()
		s.Secret("it", value)
		all := before + value + after
		for _, text := range []string{all, base64.StdEncoding.EncodeToString([]byte(all)), base64.URLEncoding.EncodeToString([]byte(all)), hex.EncodeToString([]byte(all)), url.QueryEscape(all), fmt.Sprintf("%q", all)} {
			if !slices.ContainsFunc(s.Find(text), func(l canary.Leak) bool { return l.Name == "it" }) {
				t.Fatalf("not found in %q", text)
			}
		}
	})
}
