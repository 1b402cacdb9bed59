package crd_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// nastyTexts are refused in every field that takes text: they would be a second line
// of a log, a command to a terminal, text that reads other than it is, or the end of
// a header.
var nastyTexts = map[string]string{
	"line feed":           "a\nb",
	"carriage return":     "a\rb",
	"CRLF and a header":   "a\r\nX-Callback-Url: https://evil.example",
	"fake log line":       "a\n{\"level\":\"info\",\"msg\":\"paid\"}",
	"NUL":                 "a\x00b",
	"bell":                "a\ab",
	"tab":                 "a\tb",
	"backspace":           "a\bb",
	"delete":              "a\x7fb",
	"ANSI colour":         "a\x1b[31mb",
	"ANSI title":          "a\x1b]0;owned\ab",
	"C1 control":          "a\u009b31mb",
	"next line":           "a\u0085b",
	"line separator":      "a\u2028b",
	"paragraph separator": "a\u2029b",
	"bidi override":       "a\u202eb",
	"bidi embedding":      "a\u202bb",
	"bidi isolate":        "a\u2066b",
	"bidi mark":           "a\u200fb",
	"Arabic letter mark":  "a\u061cb",
	"zero-width space":    "a\u200bb",
	"zero-width joiner":   "a\u200db",
	"byte order mark":     "\ufeffab",
	"soft hyphen":         "a\u00adb",
	"tag letters":         "a\U000e0041b",
	"private use":         "a\ue000b",
	"too long":            strings.Repeat("a", 4096),
}

// nastyWords are refused where a text is a name, a number or an address, too. Free
// text may hold them: it goes nowhere but into JSON and columns.
var nastyWords = map[string]string{
	"path up":          "a/../../b%",
	"encoded slash":    "a%2fb",
	"encoded CRLF":     "a%0d%0ab ",
	"Arabic digits":    "\u0665\u0660\u0660\u0660",
	"fullwidth":        "\uff15\uff10\uff10",
	"homoglyph":        "\u043er\u0430nge",
	"blank":            "a b",
	"quote":            `a"b`,
	"braces":           "{{a}}$(b)`c`",
	"query and more":   "a?b=c&d#",
	"script":           "javascript:alert(1)//%",
	"data":             "data:text/html,<b>",
	"credentials":      "https://user:pass@shop.example/",
	"fragment":         "https://shop.example/#x",
	"homoglyph host":   "https://sh\u043ep.example/",
	"backslash":        `https:\\shop.example\`,
	"no host":          "https:///x y",
	"other scheme":     "ftp://shop.example",
	"YAML's octal":     "0o17 ",
	"thousands":        "1_000 ",
	"infinity":         "+Inf",
	"exponent":         "1e3 ",
	"not a number":     "NaN ",
	"trailing newline": "5000\n",
}

// textFields of each kind that users write: free text, and those of a closed form.
var textFields = map[string]struct{ free, closed []string }{
	"Payment": {
		free: []string{"spec.description"},
		closed: []string{
			"spec.provider", "spec.amount", "spec.currency", "spec.phone", "spec.reference", "spec.returnURL", "spec.cancelURL",
			"spec.accountRef.name", "spec.accountRef.kind",
		},
	},
	"Refund":                 {free: []string{"spec.reason"}, closed: []string{"spec.amount", "spec.paymentRef.name"}},
	"MerchantAccount":        {free: []string{"spec.merchantName"}, closed: accountFields},
	"ClusterMerchantAccount": {free: []string{"spec.merchantName"}, closed: accountFields},
}

var accountFields = []string{
	"spec.provider", "spec.environment", "spec.country", "spec.currency", "spec.mtn.targetEnvironment", "spec.baseURL", "spec.orange.tokenURL",
	"spec.returnURL", "spec.cancelURL", "spec.secretRef.name", "spec.polling.interval", "spec.polling.timeout", "spec.mtn.callbacks",
}

// nastyEdits are writes that have to be refused, by a name, with the field.
func nastyEdits(k *kind) map[string][2]string {
	out := map[string][2]string{}
	add := func(fields []string, values map[string]string) {
		for _, field := range fields {
			for name, value := range values {
				if field == "spec.reference" && (name == "fragment" || name == "other scheme") {
					continue // a merchant's number may look so; it leaves the cluster as a digest only
				}
				text, err := json.Marshal(value)
				if err != nil {
					panic(err)
				}
				out[field+" with "+name] = [2]string{field, field + "=" + string(text)}
			}
		}
	}
	fields := textFields[k.crd.Spec.Names.Kind]
	add(slices.Concat(fields.free, fields.closed), nastyTexts)
	add(fields.closed, nastyWords)
	return out
}

// Every refusal names the field, and holds no control character itself.
func TestH6H8H15_NastyValuesAreRefused(t *testing.T) {
	for _, k := range kinds(t) {
		for name, field := range nastyEdits(k) {
			_, refused := k.write(t, k.object(field[1]), nil, false)
			if !slices.ContainsFunc(refused, func(s string) bool { return strings.HasPrefix(s, field[0]+": ") }) {
				t.Errorf("%s: %s is taken, or not named: %q", k.crd.Spec.Names.Kind, name, refused)
			}
			for _, text := range refused {
				if i := strings.IndexFunc(text, func(r rune) bool {
					return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x206f || r == 0xfeff
				}); i >= 0 {
					t.Errorf("%s: %s: the refusal itself holds it: %q", k.crd.Spec.Names.Kind, name, text)
				}
			}
		}
	}
}
