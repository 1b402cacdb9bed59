// Package crd_test checks what a real API server makes of the generated CRDs.
package crd_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) } //nolint:forbidigo // It is a program.

// A testCase writes one object, perhaps on top of another, and gives the causes of the
// refusal. Objects are edits of the kind's base object: "path=JSON" sets,
// "-path" removes, "; " separates. The JSON goes out as written (1e3 stays 1e3).
type testCase struct {
	create bool
	given  string   // the object before, if it is not a creation
	edit   string   // what the write makes of it; status.* through the subresource
	want   []string // "field: what is wrong"; none: it is accepted
}

// book is what files of testdata define, by name, and the cases in them. A line is one of
//
//	name := TEXT
//	create EDIT => CAUSE => CAUSE
//	given EDIT write EDIT => CAUSE
//	attempt MEMBERS write MEMBERS => MESSAGE   of a Charge's record, and of a refund on it
//
// $name is the text, name(word) the text with word for its %s, and ${a*3} is aaa. A cause
// that begins with * names the field and the value of the edit.
type book struct {
	text  map[string]string
	cases []testCase
}

func read(g *WithT, files ...string) book {
	b := book{text: map[string]string{}}
	for _, name := range files {
		file, err := os.Open(filepath.Join("testdata", name+".txt"))
		g.Expect(err).NotTo(HaveOccurred())
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			b.add(lines.Text())
		}
		g.Expect(errors.Join(lines.Err(), file.Close())).To(Succeed())
	}
	return b
}

func (b *book) add(line string) {
	if line == "" || strings.HasPrefix(line, "#") {
		return
	}
	if name, text, ok := strings.Cut(line, " := "); ok {
		b.text[name] = b.expand(text)
		return
	}
	parts := strings.Split(line, " => ")
	verb, edit, _ := strings.Cut(parts[0], " ")
	given, written, _ := strings.Cut(" "+edit, " write ")
	given = strings.TrimSpace(given)
	switch verb {
	case "create":
		b.cases = append(b.cases, b.newCase(true, "", edit, parts[1:]))
	case "given":
		b.cases = append(b.cases, b.newCase(false, given, written, parts[1:]))
	case "attempt":
		for whole, at := range map[string]string{"record": "record", "refund": "record.refunds[0]"} {
			var causes []string
			for _, message := range parts[1:] {
				causes = append(causes, at+": Invalid value: "+message)
			}
			b.cases = append(b.cases, b.newCase(false, whole+"("+given+")", whole+"("+written+")", causes))
		}
	default:
		panic("no case: " + line)
	}
}

func (b *book) newCase(create bool, given, edit string, causes []string) testCase {
	c := testCase{create: create, given: b.expand(given), edit: b.expand(edit)}
	path, value, _ := strings.Cut(c.edit, "=")
	for _, cause := range causes {
		if message, own := strings.CutPrefix(cause, "* "); own {
			cause = path + ": Invalid value: " + value + ": " + message
		}
		c.want = append(c.want, b.expand(cause))
	}
	return c
}

var call = regexp.MustCompile(`^(\w+)\((.*)\)$`)

func (b *book) expand(text string) string {
	text = os.Expand(text, func(name string) string {
		if word, count, ok := strings.Cut(name, "*"); ok {
			n, err := strconv.Atoi(count)
			if err != nil {
				panic(err)
			}
			return strings.Repeat(word, n)
		}
		return b.known(name)
	})
	if m := call.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf(b.known(m[1]), m[2])
	}
	return text
}

func (b *book) known(name string) string {
	text, ok := b.text[name]
	if !ok {
		panic("testdata defines no " + name)
	}
	return text
}

// object is a JSON object whose numbers keep the text that they were written with.
type object = map[string]any

func (k *kind) object(edits ...string) object {
	o := parse(k.text["base"]).(object)
	o["apiVersion"], o["kind"] = v1alpha1.SchemeGroupVersion.String(), k.crd.Spec.Names.Kind
	o["metadata"] = object{"generateName": "case-"}
	for _, edit := range edits {
		apply(o, edit)
	}
	return o
}

func apply(o object, edits string) {
	if edits == "" {
		return
	}
	for _, edit := range strings.Split(edits, "; ") {
		path, value, set := strings.Cut(edit, "=")
		parts := strings.Split(strings.TrimPrefix(path, "-"), ".")
		at := o
		for _, p := range parts[:len(parts)-1] {
			if at[p] == nil {
				at[p] = object{}
			}
			at = at[p].(object)
		}
		if last := parts[len(parts)-1]; set {
			at[last] = parse(value)
		} else {
			delete(at, last)
		}
	}
}

func parse(text string) any {
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	return v
}

// kind is a kind of ours.
type kind struct {
	book
	crd   *apiextensionsv1.CustomResourceDefinition
	typed runtime.Object
}

func kinds(t *testing.T) []*kind {
	t.Helper()
	g := NewWithT(t)
	return []*kind{
		load(g, "payments", &v1alpha1.Payment{}, "payment"),
		load(g, "charges", &v1alpha1.Charge{}, "charge"),
		load(g, "refunds", &v1alpha1.Refund{}, "refund"),
		load(g, "merchantaccounts", &v1alpha1.MerchantAccount{}, "account"),
		load(g, "clustermerchantaccounts", &v1alpha1.ClusterMerchantAccount{}, "account", "clusteraccount"),
	}
}

func load(g *WithT, plural string, typed runtime.Object, cases ...string) *kind {
	content, err := os.ReadFile(filepath.Join("bases", v1alpha1.SchemeGroupVersion.Group+"_"+plural+".yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	crd := &apiextensionsv1.CustomResourceDefinition{}
	g.Expect(yaml.UnmarshalStrict(content, crd)).To(Succeed())
	return &kind{book: read(g, append([]string{"shared"}, cases...)...), crd: crd, typed: typed}
}

func TestRules(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(k.crd.Spec.Names.Kind, func(t *testing.T) {
			for _, c := range k.cases {
				name := "create " + c.edit
				if !c.create {
					name = "given " + c.given + " write " + c.edit
				}
				t.Run(name, func(t *testing.T) { k.run(t, c) })
			}
		})
	}
}

func (k *kind) run(t *testing.T, c testCase) {
	g := NewWithT(t)
	var got *unstructured.Unstructured
	var refused []string
	if c.create {
		got, refused = k.write(t, k.object(c.edit), nil, false)
	} else {
		body := k.object(c.given)
		old, firstErrs := k.write(t, body, nil, false)
		g.Expect(firstErrs).To(BeEmpty(), "creating the object before")
		if body["status"] != nil {
			old, firstErrs = k.write(t, body, old, true)
			g.Expect(firstErrs).To(BeEmpty(), "writing the status before")
		}
		apply(body, c.edit)
		got, refused = k.write(t, body, old, strings.Contains(c.edit, "status"))
	}
	// Added by the API server to what has to be corrected first.
	refused = slices.DeleteFunc(refused, func(s string) bool { return strings.Contains(s, "some validation rules were not checked") })
	g.Expect(refused).To(ConsistOf(c.want))
	if len(c.want) > 0 {
		return
	}
	// What the API server accepts, the operator has to be able to read: one object
	// that it cannot decode would stop its informer for all of them.
	stored, err := got.MarshalJSON()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(json.Unmarshal(stored, k.typed.DeepCopyObject())).To(Succeed(), "reading it with the Go type")
}

// write writes an object, over old if there is one, and returns what is stored or what
// was wrong. By REST, not a typed client: the bytes go out as the case has them.
func (k *kind) write(t *testing.T, body object, old *unstructured.Unstructured, status bool) (*unstructured.Unstructured, []string) {
	t.Helper()
	g, cfg := NewWithT(t), env.AdminConfig()
	cfg.GroupVersion, cfg.APIPath, cfg.QPS = &v1alpha1.SchemeGroupVersion, "/apis", -1
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(env.Scheme).WithoutConversion()
	api, err := rest.RESTClientFor(cfg)
	g.Expect(err).NotTo(HaveOccurred())
	request := api.Post()
	if old != nil {
		request = api.Put().Name(old.GetName())
		maps.Copy(body["metadata"].(object), object{"name": old.GetName(), "resourceVersion": old.GetResourceVersion()})
	}
	if status {
		request = request.SubResource("status")
	}
	content, err := json.Marshal(body)
	g.Expect(err).NotTo(HaveOccurred())
	result := request.Resource(k.crd.Spec.Names.Plural).
		NamespaceIfScoped("default", k.crd.Spec.Scope == apiextensionsv1.NamespaceScoped).
		Param("fieldValidation", "Strict").
		SetHeader("Content-Type", "application/json").
		Body(content).
		Do(t.Context())
	if err := result.Error(); err != nil {
		return nil, causesOf(err)
	}
	stored, err := result.Raw()
	g.Expect(err).NotTo(HaveOccurred())
	u := &unstructured.Unstructured{}
	g.Expect(u.UnmarshalJSON(stored)).To(Succeed())
	return u, nil
}

// causesOf lists what an API error says is wrong, field by field.
func causesOf(err error) []string {
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) || status.Status().Reason != metav1.StatusReasonInvalid {
		return []string{err.Error()}
	}
	var refused []string
	for _, c := range status.Status().Details.Causes {
		refused = append(refused, c.Field+": "+c.Message)
	}
	return refused
}

func TestCRDs_DescribeEveryField(t *testing.T) {
	for _, k := range kinds(t) {
		root := k.crd.Spec.Versions[0].Schema.OpenAPIV3Schema
		for _, missing := range undescribed(k.crd.Spec.Names.Kind, root) {
			t.Errorf("%s has no description", missing)
		}
	}
}

func undescribed(path string, s *apiextensionsv1.JSONSchemaProps) []string {
	var missing []string
	// The API server itself describes metadata.
	if s.Description == "" && !strings.HasSuffix(path, ".metadata") {
		missing = append(missing, path)
	}
	for name, p := range s.Properties {
		missing = append(missing, undescribed(path+"."+name, &p)...)
	}
	if s.Items != nil && s.Items.Schema != nil {
		for name, p := range s.Items.Schema.Properties {
			missing = append(missing, undescribed(path+"[]."+name, &p)...)
		}
	}
	return missing
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
func nastyEdits(g *WithT, k *kind) map[string][2]string {
	out := map[string][2]string{}
	add := func(fields []string, values map[string]string) {
		for _, field := range fields {
			for name, value := range values {
				if field == "spec.reference" && (name == "fragment" || name == "other scheme") {
					continue // a merchant's number may look so; it leaves the cluster as a digest only
				}
				out[field+" with "+name] = [2]string{field, field + "=" + value}
			}
		}
	}
	fields := textFields[k.crd.Spec.Names.Kind]
	add(slices.Concat(fields.free, fields.closed), read(g, "nasty-texts").text)
	add(fields.closed, read(g, "nasty-words").text)
	return out
}

// Every refusal names the field, and holds no control character itself.
func TestH6H8H15_NastyValuesAreRefused(t *testing.T) {
	for _, k := range kinds(t) {
		for name, field := range nastyEdits(NewWithT(t), k) {
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
