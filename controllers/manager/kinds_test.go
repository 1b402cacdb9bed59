package manager

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// apiServer serves CRDs, or answers with err.
type apiServer struct {
	client.Reader
	served map[string]*apiextensionsv1.CustomResourceDefinition
	err    error
	reads  int
}

func (s *apiServer) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	s.reads++
	have, ok := s.served[key.Name]
	switch {
	case s.err != nil:
		return s.err
	case !ok:
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	have.DeepCopyInto(o.(*apiextensionsv1.CustomResourceDefinition))
	return nil
}

// serving returns an API server with the CRDs of this version, and what compares them.
func serving(t *testing.T) (*apiServer, *kinds, *time.Time) {
	t.Helper()
	now, s := time.Unix(1_700_000_000, 0), &apiServer{served: map[string]*apiextensionsv1.CustomResourceDefinition{}}
	k, err := newKinds(s, func() time.Time { return now })
	if err != nil || len(k.want) != 5 {
		t.Fatalf("%d CRDs, %v", len(k.want), err)
	}
	for i := range k.want {
		d := k.want[i].DeepCopy()
		d.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue}}
		s.served[d.Name] = d
	}
	return s, k, &now
}

// schemas calls visit for every schema of a CRD that has properties or rules.
func schemas(path string, s *apiextensionsv1.JSONSchemaProps, visit func(string, *apiextensionsv1.JSONSchemaProps)) {
	visit(path, s)
	for name := range s.Properties {
		field := s.Properties[name]
		schemas(path+"."+name, &field, visit)
		s.Properties[name] = field
	}
	if s.Items != nil && s.Items.Schema != nil {
		schemas(path+"[]", s.Items.Schema, visit)
	}
}

func TestK6bMissingIn_NamesEveryFieldAndRuleThatIsGone(t *testing.T) {
	s, k, _ := serving(t)
	fields, rules := 0, 0
	for i := range k.want {
		want := &k.want[i]
		root := func(d *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.JSONSchemaProps {
			return d.Spec.Versions[0].Schema.OpenAPIV3Schema
		}
		check := func(what string, change func(path string, at *apiextensionsv1.JSONSchemaProps)) {
			d := s.served[want.Name].DeepCopy()
			schemas(want.Spec.Names.Kind, root(d), change)
			if missing := missingIn(want, d); len(missing) == 0 || !strings.HasSuffix(missing[0], what) {
				t.Fatalf("%s is gone; missing: %v", what, missing)
			}
		}
		schemas(want.Spec.Names.Kind, root(want.DeepCopy()), func(path string, at *apiextensionsv1.JSONSchemaProps) {
			for name := range at.Properties {
				fields++
				check("field "+path+"."+name, func(p string, s *apiextensionsv1.JSONSchemaProps) {
					if p == path {
						delete(s.Properties, name)
					}
				})
			}
			if len(at.XValidations) > 0 {
				rules++
				check("1 rules of "+path, func(p string, s *apiextensionsv1.JSONSchemaProps) {
					if p == path {
						s.XValidations = slices.Clone(s.XValidations[1:])
					}
				})
			}
		})
	}
	if fields < 100 || rules < 10 {
		t.Errorf("only %d fields and %d rules were tried", fields, rules)
	}
}

func TestKinds_ReadySaysWhatIsMissing(t *testing.T) {
	const payments = "payments.mobilemoney.dev"
	for name, c := range map[string]struct {
		change func(*apiServer)
		want   string
	}{
		"everything is there":    {func(*apiServer) {}, ""},
		"K7b a kind is gone":     {func(s *apiServer) { delete(s.served, payments) }, "CRD payments"},
		"a kind is going":        {func(s *apiServer) { s.served[payments].DeletionTimestamp = &metav1.Time{} }, "being deleted"},
		"a kind is not yet here": {func(s *apiServer) { s.served[payments].Status.Conditions = nil }, "not established"},
		"a version is not served": {
			func(s *apiServer) { s.served[payments].Spec.Versions[0].Served = false }, "version v1alpha1",
		},
		"there is no status": {
			func(s *apiServer) { s.served[payments].Spec.Versions[0].Subresources = nil }, "the status subresource",
		},
		"a field has another type": {func(s *apiServer) {
			s.served[payments].Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
		}, "field Payment.status"},
		"all are gone":        {func(s *apiServer) { clear(s.served) }, "CRD refunds"},
		"they cannot be read": {func(s *apiServer) { s.err = errors.New("no answer") }, "no answer"},
		"a newer version": {func(s *apiServer) {
			s.served[payments].Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["more"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, k, _ := serving(t)
			c.change(s)
			err := k.Ready(httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestKinds_ReadyKeepsTheLastAnswer(t *testing.T) {
	s, k, now := serving(t)
	ready := func() error { return k.Ready(httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil)) }
	for range 100 {
		if err := ready(); err != nil {
			t.Fatal(err)
		}
	}
	if s.reads != len(k.want) {
		t.Errorf("%d reads", s.reads)
	}
	s.err, *now = errors.New("no answer"), now.Add(time.Minute)
	if err := ready(); err != nil {
		t.Errorf("without an answer: %v", err)
	}
	s.served["charges.mobilemoney.dev"].DeletionTimestamp = &metav1.Time{}
	s.err, *now = nil, now.Add(time.Minute)
	if err := ready(); err == nil {
		t.Error("a kind is being deleted")
	}
	if missing, err := k.compare(t.Context(), true); missing != nil || err != nil {
		t.Errorf("the operator has to start to let the accounts go: %v, %v", missing, err)
	}
	s.err, *now = errors.New("no answer"), now.Add(time.Minute)
	if err := ready(); err == nil {
		t.Error("a kind was missing when the API server answered last")
	}
}
