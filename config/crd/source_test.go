package crd_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"mobilemoney.dev/operator/providers"
)

const source = "../../api/v1alpha1"

// What the types say is what the API server checks: a rule that controller-gen does
// not read, such as one behind a comment line that begins with +225, is no rule.
func TestCRDs_HaveEveryRuleOfTheTypes(t *testing.T) {
	g := NewWithT(t)
	generated := map[[2]string]bool{}
	for _, k := range kinds(t) {
		collectRules(k.crd.Spec.Versions[0].Schema.OpenAPIV3Schema, generated)
	}
	marker := regexp.MustCompile("XValidation:rule=(\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`),message=(\"(?:[^\"\\\\]|\\\\.)*\")$")
	written := map[[2]string]bool{}
	for _, line := range comments(t) {
		if !strings.Contains(line, "+kubebuilder:validation:XValidation") {
			continue
		}
		parts := marker.FindStringSubmatch(line)
		g.Expect(parts).To(HaveLen(3), line)
		rule, err := strconv.Unquote(parts[1])
		g.Expect(err).NotTo(HaveOccurred(), line)
		message, err := strconv.Unquote(parts[2])
		g.Expect(err).NotTo(HaveOccurred(), line)
		written[[2]string{rule, message}] = true
	}
	g.Expect(len(written)).To(BeNumerically(">", 80))
	for rule := range written {
		g.Expect(generated).To(HaveKey(rule), "a marker that is in no CRD")
	}
	for rule := range generated {
		g.Expect(written).To(HaveKey(rule), "a rule of a CRD that no type has")
	}
}

// A comment line that begins with + is a marker to controller-gen.
func TestTypes_BeginNoCommentWithPlusButMarkers(t *testing.T) {
	for _, line := range comments(t) {
		text := strings.TrimLeft(strings.TrimPrefix(line, "//"), " \t")
		if strings.HasPrefix(text, "+") && !regexp.MustCompile(`^\+(kubebuilder:|listType=|listMapKey=|structType=|groupName=)`).MatchString(text) {
			t.Errorf("%s", line)
		}
	}
}

// comments are the comment lines of the types.
func comments(t *testing.T) (lines []string) {
	t.Helper()
	g := NewWithT(t)
	files, err := filepath.Glob(source + "/*_types.go")
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range append(files, source+"/amount.go", source+"/conditions.go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		g.Expect(err).NotTo(HaveOccurred())
		for _, group := range file.Comments {
			for _, c := range group.List {
				lines = append(lines, c.Text)
			}
		}
	}
	return lines
}

func collectRules(s *apiextensionsv1.JSONSchemaProps, into map[[2]string]bool) {
	for _, r := range s.XValidations {
		into[[2]string{r.Rule, r.Message}] = true
	}
	for _, p := range s.Properties {
		collectRules(&p, into)
	}
	if s.Items != nil && s.Items.Schema != nil {
		collectRules(s.Items.Schema, into)
	}
}

// There is one list of the currencies without decimals: what CEL refuses is what
// the operator would refuse.
func TestPayment_RefusesDecimalsWhereTheCurrencyHasNone(t *testing.T) {
	k := kinds(t)[0]
	for _, currency := range providers.Currencies() {
		decimals, _ := providers.Decimals(currency)
		for amount, want := range map[string]bool{`1500`: true, `"1500.00"`: true, `"1500.0"`: true, `"1500.50"`: decimals > 0, `"0.01"`: decimals > 0} {
			_, refused := k.write(t, k.object(`spec.currency="`+currency+`"; spec.amount=`+amount), nil, false)
			if want != (len(refused) == 0) || !want && refused[0] != k.text["noDecimals"] {
				t.Errorf("%s %s: %q", amount, currency, refused)
			}
		}
	}
	// And it names none that is no currency.
	schema := k.crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	for _, rule := range schema.XValidations {
		if "spec: Invalid value: "+rule.Message == k.text["noDecimals"] {
			for _, currency := range regexp.MustCompile(`'[A-Z]{3}'`).FindAllString(rule.Rule, -1) {
				if n, ok := providers.Decimals(strings.Trim(currency, "'")); !ok || n != 0 {
					t.Errorf("%s is in the rule", currency)
				}
			}
		}
	}
}
