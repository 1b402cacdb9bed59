package sweep

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/config/crd"
	"mobilemoney.dev/operator/controllers/testworld"
)

// strategy is what the API server does with a write of a custom resource.
type strategy interface {
	PrepareForUpdate(ctx context.Context, obj, old runtime.Object)
	Validate(ctx context.Context, obj runtime.Object) field.ErrorList
	ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList
}

// validator runs the rules of the CRDs, as the API server does. Most writes of
// most runs are alike, so that what passed once is remembered.
type validator struct {
	kinds  map[testworld.Kind]rules
	passed sync.Map
}

type rules struct{ main, status strategy }

// NewValidator of writes.
func NewValidator() (func(kind testworld.Kind, status bool, old, written []byte) error, error) {
	v := &validator{kinds: map[testworld.Kind]rules{}}
	for kind, plural := range map[testworld.Kind]string{testworld.Payment: "payments", testworld.Charge: "charges", testworld.Refund: "refunds"} {
		r, err := load(plural)
		if err != nil {
			return nil, fmt.Errorf("loading the rules of %s: %w", plural, err)
		}
		v.kinds[kind] = r
	}
	return v.check, nil
}

func load(plural string) (rules, error) {
	content, err := crd.Bases.ReadFile("bases/" + v1alpha1.SchemeGroupVersion.Group + "_" + plural + ".yaml")
	if err != nil {
		return rules{}, err
	}
	external, internal := &apiextensionsv1.CustomResourceDefinition{}, &apiextensions.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(content, external); err != nil {
		return rules{}, err
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(external)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&external.Spec)
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(external, internal, nil); err != nil {
		return rules{}, err
	}
	// A CRD with one version has its schema at the top in the internal form.
	root := internal.Spec.Validation.OpenAPIV3Schema
	structural, err := structuralschema.NewStructural(root)
	if err != nil {
		return rules{}, err
	}
	if err := defaulting.PruneDefaults(structural); err != nil {
		return rules{}, err
	}
	main, _, err := validation.NewSchemaValidator(root)
	if err != nil {
		return rules{}, err
	}
	var status validation.SchemaValidator
	var subresource *apiextensions.CustomResourceSubresourceStatus
	if sub := internal.Spec.Subresources; sub != nil && sub.Status != nil {
		subresource = sub.Status
		part := root.Properties["status"]
		if status, _, err = validation.NewSchemaValidator(&part); err != nil {
			return rules{}, err
		}
	}
	s := customresource.NewStrategy(nil, external.Spec.Scope == apiextensionsv1.NamespaceScoped,
		v1alpha1.SchemeGroupVersion.WithKind(external.Spec.Names.Kind), main, status, structural, subresource, nil,
		external.Spec.Versions[0].SelectableFields)
	return rules{main: s, status: customresource.NewStatusStrategy(s)}, nil
}

func (v *validator) check(kind testworld.Kind, status bool, old, written []byte) error {
	h := sha256.New()
	fmt.Fprintf(h, "%d %t %d ", kind, status, len(old))
	h.Write(old)
	h.Write(written)
	sum := [sha256.Size]byte(h.Sum(nil))
	if _, ok := v.passed.Load(sum); ok {
		return nil
	}
	errs := v.errors(kind, status, old, written)
	if len(errs) > 0 {
		return apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind(kind.String()).GroupKind(), "object", errs)
	}
	v.passed.Store(sum, true)
	return nil
}

func (v *validator) errors(kind testworld.Kind, status bool, old, written []byte) field.ErrorList {
	ctx, r := context.Background(), v.kinds[kind]
	next := read(kind, written)
	if old == nil {
		return r.main.Validate(ctx, next)
	}
	s := r.main
	if status {
		s = r.status
	}
	before := read(kind, old)
	s.PrepareForUpdate(ctx, next, before)
	return s.ValidateUpdate(ctx, next, before)
}

func read(kind testworld.Kind, body []byte) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	// The types of this repository do not say their kind.
	if err := u.UnmarshalJSON(append([]byte(`{"kind":"`+kind.String()+`",`), body[1:]...)); err != nil {
		panic(err)
	}
	u.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind.String()))
	return u
}
