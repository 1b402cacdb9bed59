// Package crd_test checks what the API server makes of the generated CRDs. One
// table of cases (in the files by kind) runs twice: in process, against the API
// server's own code for custom resources, and over the wire, against a real one.
package crd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

// A testCase writes one object, perhaps on top of another, and gives the causes of the
// refusal. Objects are edits of the kind's base object: "path=JSON" sets,
// "-path" removes, "; " separates. The JSON goes out as written (1e3 stays 1e3).
type testCase struct {
	create bool
	given  string   // the object before, if it is not a creation
	edit   string   // what the write makes of it
	want   []string // "field: what is wrong"; none: it is accepted
}

// creates is a case of a new object.
func creates(edit string, want ...string) testCase {
	return testCase{create: true, edit: edit, want: want}
}

// refuses is a case of a new object with one bad field and one message.
func refuses(edit, message string) testCase {
	path, value, _ := strings.Cut(edit, "=")
	return creates(edit, path+": Invalid value: "+value+": "+message)
}

// changes is a case of an object that exists. An edit of status.* is written
// through the status subresource.
func changes(given, edit string, want ...string) testCase {
	return testCase{given: given, edit: edit, want: want}
}

func (c testCase) name() string {
	if c.create {
		return "create " + c.edit
	}
	return "given " + c.given + " write " + c.edit
}

// object is a JSON object whose numbers keep the text that they were written with.
type object = map[string]any

func (k *kind) object(name string, edits ...string) object {
	o := parse(k.base).(object)
	o["apiVersion"], o["kind"] = v1alpha1.SchemeGroupVersion.String(), k.crd.Spec.Names.Kind
	o["metadata"] = object{"name": name}
	if k.crd.Spec.Scope == apiextensionsv1.NamespaceScoped {
		o["metadata"] = object{"name": name, "namespace": "default"}
	}
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

func marshal(o object) []byte {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(o); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// kind is a kind of ours with the API server's machinery for it.
type kind struct {
	crd   *apiextensionsv1.CustomResourceDefinition
	base  string // a good object, without metadata
	cases []testCase
	typed runtime.Object

	structural *structuralschema.Structural
	spec       strategy
	status     strategy
}

// strategy is what the API server does with a write of a custom resource.
type strategy interface {
	PrepareForCreate(ctx context.Context, obj runtime.Object)
	PrepareForUpdate(ctx context.Context, obj, old runtime.Object)
	Validate(ctx context.Context, obj runtime.Object) field.ErrorList
	ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList
}

func kinds(t *testing.T) []*kind {
	t.Helper()
	g := NewWithT(t)
	return []*kind{
		load(g, "payments", paymentBase, paymentCases, &v1alpha1.Payment{}),
		load(g, "charges", chargeBase, chargeCases, &v1alpha1.Charge{}),
		load(g, "refunds", refundBase, refundCases, &v1alpha1.Refund{}),
		load(g, "merchantaccounts", accountBase, accountCases, &v1alpha1.MerchantAccount{}),
		load(g, "clustermerchantaccounts", accountBase, slices.Concat(accountCases, clusterAccountCases), &v1alpha1.ClusterMerchantAccount{}),
	}
}

func load(g *WithT, plural, base string, cases []testCase, typed runtime.Object) *kind {
	crd, internal := readCRD(g, filepath.Join("bases", v1alpha1.SchemeGroupVersion.Group+"_"+plural+".yaml"))
	k := &kind{crd: crd, base: base, cases: cases, typed: typed}

	// A CRD with one version has its schema at the top in the internal form.
	root := internal.Spec.Validation.OpenAPIV3Schema
	var err error
	k.structural, err = structuralschema.NewStructural(root)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(defaulting.PruneDefaults(k.structural)).To(Succeed())
	validator, _, err := validation.NewSchemaValidator(root)
	g.Expect(err).NotTo(HaveOccurred())

	var statusValidator validation.SchemaValidator
	var status *apiextensions.CustomResourceSubresourceStatus
	if internal.Spec.Subresources != nil && internal.Spec.Subresources.Status != nil {
		status = internal.Spec.Subresources.Status
		part := root.Properties["status"]
		statusValidator, _, err = validation.NewSchemaValidator(&part)
		g.Expect(err).NotTo(HaveOccurred())
	}
	s := customresource.NewStrategy(nil, crd.Spec.Scope == apiextensionsv1.NamespaceScoped, k.gvk(),
		validator, statusValidator, k.structural, status, nil, crd.Spec.Versions[0].SelectableFields)
	k.spec = s
	k.status = customresource.NewStatusStrategy(s)
	return k
}

func readCRD(g *WithT, file string) (*apiextensionsv1.CustomResourceDefinition, *apiextensions.CustomResourceDefinition) {
	content, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	crd := &apiextensionsv1.CustomResourceDefinition{}
	g.Expect(yaml.UnmarshalStrict(content, crd)).To(Succeed())
	apiextensionsv1.SetDefaults_CustomResourceDefinition(crd)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	internal := &apiextensions.CustomResourceDefinition{}
	g.Expect(apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd, internal, nil)).To(Succeed())
	return crd, internal
}

func (k *kind) gvk() schema.GroupVersionKind {
	return v1alpha1.SchemeGroupVersion.WithKind(k.crd.Spec.Names.Kind)
}

// decode reads an object as the API server does: unknown fields and nulls go,
// defaults come.
func (k *kind) decode(body []byte) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(body); err != nil {
		return nil, err
	}
	pruning.Prune(u.Object, k.structural, true)
	defaulting.PruneNonNullableNullsWithoutDefaults(u.Object, k.structural)
	defaulting.Default(u.Object, k.structural)
	return u, nil
}

// run makes the writes of a case with write, which takes the write's body and the
// object before (nil: none), and returns the object after or what was wrong.
func (k *kind) run(g *WithT, name string, c testCase, write func(body object, old *unstructured.Unstructured, status bool) (*unstructured.Unstructured, []string)) {
	var got *unstructured.Unstructured
	var refused []string
	hasStatus := k.crd.Spec.Versions[0].Subresources != nil
	if c.create {
		got, refused = write(k.object(name, c.edit), nil, false)
	} else {
		given := k.object(name, c.given)
		old, firstErrs := write(given, nil, false)
		g.Expect(firstErrs).To(BeEmpty(), "creating the object before")
		if given["status"] != nil {
			old, firstErrs = write(given, old, true)
			g.Expect(firstErrs).To(BeEmpty(), "writing the status before")
		}
		apply(given, c.edit)
		got, refused = write(given, old, hasStatus && strings.Contains(c.edit, "status"))
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
	typed := k.typed.DeepCopyObject()
	g.Expect(json.Unmarshal(stored, typed)).To(Succeed(), "reading it with the Go type")
}

func TestCRDs_AreValid(t *testing.T) {
	g := NewWithT(t)
	files, err := filepath.Glob("bases/*.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).NotTo(BeEmpty())
	for _, file := range files {
		_, internal := readCRD(g, file)
		// Compiles the CEL rules and estimates their cost, among others.
		g.Expect(crdvalidation.ValidateCustomResourceDefinition(t.Context(), internal)).To(BeEmpty(), file)
	}
}

func TestRules_InProcess(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(k.crd.Spec.Names.Kind, func(t *testing.T) {
			for _, c := range k.cases {
				t.Run(c.name(), func(t *testing.T) {
					k.run(NewWithT(t), "sale", c, k.writeInProcess)
				})
			}
		})
	}
}

func (k *kind) writeInProcess(body object, old *unstructured.Unstructured, status bool) (*unstructured.Unstructured, []string) {
	ctx := context.Background()
	u, err := k.decode(marshal(body))
	if err != nil {
		return nil, []string{err.Error()}
	}
	if old != nil {
		u.SetResourceVersion(old.GetResourceVersion())
		u.SetGeneration(old.GetGeneration())
	}
	var errs field.ErrorList
	switch s := k.spec; {
	case old == nil:
		s.PrepareForCreate(ctx, u)
		errs = s.Validate(ctx, u)
	case status:
		k.status.PrepareForUpdate(ctx, u, old)
		errs = k.status.ValidateUpdate(ctx, u, old)
	default:
		s.PrepareForUpdate(ctx, u, old)
		errs = s.ValidateUpdate(ctx, u, old)
	}
	var refused []string
	for _, e := range errs {
		refused = append(refused, e.Field+": "+e.ErrorBody())
	}
	u.SetResourceVersion("1")
	return u, refused
}

func testRules(t *testing.T, env *testenv.Env) {
	cfg := env.AdminConfig()
	cfg.GroupVersion = &v1alpha1.SchemeGroupVersion
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(env.Scheme).WithoutConversion()
	cfg.APIPath = "/apis"
	// REST, not a typed client: the bytes go out as the case has them.
	api, err := rest.RESTClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds(t) {
		t.Run(k.crd.Spec.Names.Kind, func(t *testing.T) {
			for i, c := range k.cases {
				t.Run(c.name(), func(t *testing.T) {
					k.run(NewWithT(t), fmt.Sprintf("case-%d", i), c, k.writeTo(t.Context(), api))
				})
			}
		})
	}
}

func (k *kind) writeTo(ctx context.Context, api rest.Interface) func(object, *unstructured.Unstructured, bool) (*unstructured.Unstructured, []string) {
	return func(body object, old *unstructured.Unstructured, status bool) (*unstructured.Unstructured, []string) {
		request := api.Post()
		if old != nil {
			request = api.Put().Name(old.GetName())
			body["metadata"].(object)["resourceVersion"] = old.GetResourceVersion()
		}
		if status {
			request = request.SubResource("status")
		}
		request = request.Resource(k.crd.Spec.Names.Plural).
			NamespaceIfScoped("default", k.crd.Spec.Scope == apiextensionsv1.NamespaceScoped).
			Param("fieldValidation", "Strict").
			SetHeader("Content-Type", "application/json").
			Body(marshal(body))
		result := request.Do(ctx)
		if err := result.Error(); err != nil {
			return nil, causes(err)
		}
		stored, _ := result.Raw()
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(stored); err != nil {
			return nil, []string{err.Error()}
		}
		return u, nil
	}
}

// causes lists what an API error says is wrong, field by field.
func causes(err error) []string {
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

// Every field is explained: kubectl explain is where people look first.
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
	slices.Sort(missing)
	return missing
}
