//go:build !race

package payment

import (
	"context"
	"os"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// The invariants. Each is checked on every edge or in every state.
const (
	// oneCharge: the payer pays at most once.
	oneCharge = "I2 one charge"
	// writtenFirst: a request goes out only after its raise was acknowledged,
	// once, and under the reference of the Charge.
	writtenFirst = "I1 written first"
	// noFalseSuccess: Succeeded only if that amount was paid.
	noFalseSuccess = "I3 no false success"
	// noFalseFailure: Failed, Expired or Cancelled only if nobody has paid, nor
	// ever does.
	noFalseFailure = "I4 no false failure"
	// monotone: what is recorded stays.
	monotone = "I5 monotone"
	// seenFirst: nobody overwrites what he has not seen.
	seenFirst = "I6 compare and swap"
	// answersKept: the answer to a request for money is recorded.
	answersKept = "I7 answers are kept"
	// disclosedOnce: a page is published only after it was recorded, and only one.
	disclosedOnce = "I8 disclosure"
	// inTime: a request goes out within the time of a call.
	inTime = "I9 in time"
	// settles: without faults it comes to an end, and to the right one.
	settles = "L it settles"
)

func (m *model) violate(what string) {
	if m.broken == "" {
		m.broken = what
	}
}

func (m *model) checkSend(t *moment, i int) {
	p := &t.procs[i]
	c := m.charges.at(p.charge)
	last := c.Record.LastSend
	switch {
	case !p.is(permitted), last == nil, last.Sender != sender(i), last.Number != c.Record.Sends:
		m.violate(writtenFirst)
	case epoch.Sub(last.At.Time) > m.settings.CallTimeout:
		m.violate(inTime)
	case m.rules.refOf(m, p.charge, t) != m.chargeBrief[p.charge].ref:
		m.violate(writtenFirst)
	}
}

// checkWrite: old is what is replaced.
func (m *model) checkWrite(t *moment, seen, next num) {
	if seen != t.charge && t.left.Rewind == m.left.Rewind && !m.rules.anyVersion {
		m.violate(seenFirst)
	}
	a, b := m.charges.at(t.charge).Record, m.charges.at(next).Record
	lost := b.Sends < a.Sends || b.VoidSends < a.VoidSends || (a.Cancel != nil && b.Cancel == nil) ||
		(a.Refusal != nil && b.Refusal == nil) || changed(a.Session, b.Session) || changed(a.Outcome, b.Outcome)
	if lost || m.charges.at(t.charge).Spec != m.charges.at(next).Spec {
		m.violate(monotone)
	}
}

func changed[T any](a, b *T) bool { return a != nil && !equality.Semantic.DeepEqual(a, b) }

func (m *model) checkStatusWrite(t *moment, next num) {
	if old := m.paymentBrief[t.payment].phase; old.Terminal() && m.paymentBrief[next].phase != old {
		m.violate(monotone)
	}
}

// checkDisclosure: session i is published.
func (m *model) checkDisclosure(t *moment, i int) {
	if t.sessions[i].flag&durable == 0 {
		m.violate(disclosedOnce)
	}
	for k, other := range t.sessions {
		if k != i && other.flag&disclosed != 0 && !m.rules.manyPages {
			m.violate(disclosedOnce)
		}
	}
}

func (m *model) checkKept(t *moment, i int) {
	if c := m.charges.at(t.procs[i].charge); c.Record.Session == nil && c.Record.Outcome == nil {
		m.violate(answersKept)
	}
}

func (m *model) dropped(t *moment, i int) {
	if m.answers.at(t.procs[i].answer).Kind == foldsSession {
		m.violate(answersKept)
	}
}

// checkMoment is what has to hold in every state.
func (m *model) checkMoment(t *moment) string {
	charged, well := 0, 0
	for i := range t.sessions {
		if t.sessions[i].is != isPaid {
			continue
		}
		charged++
		if t.sessions[i].flag&odd == 0 {
			well++
		}
	}
	if charged > 1 {
		return oneCharge
	}
	for _, phase := range [...]v1alpha1.Phase{m.chargeBrief[t.charge].phase, m.paymentBrief[t.payment].phase} {
		switch {
		case phase == v1alpha1.PhaseSucceeded && well == 0:
			return noFalseSuccess
		case phase.Terminal() && phase != v1alpha1.PhaseSucceeded && charged > 0:
			return noFalseFailure
		}
	}
	return ""
}

// arrived tells whether the Payment is where it has to come to.
func (m *model) arrived(t *moment) bool {
	p := m.paymentBrief[t.payment]
	switch {
	case t.payment == 0, p.phase == v1alpha1.PhaseSucceeded:
		return true
	case m.learnable(t):
		return false
	default:
		return p.phase.Terminal() || p.phase == v1alpha1.PhaseUnknown || p.adoptOnly
	}
}

// learnable: the payer has paid as asked, and there is something to ask by.
func (m *model) learnable(t *moment) bool {
	for i := range t.sessions {
		if t.sessions[i].is != isPaid || t.sessions[i].flag&odd != 0 {
			continue
		}
		if m.provider != "orange" || m.chargeBrief[t.charge].session == i {
			return true
		}
	}
	return false
}

// settle runs on without faults, from t, one step after the other, and tells
// whether that comes to its end. What is known to do so is in calm.
func (m *model) settle(t *moment, calm map[moment]bool) bool {
	s := *t
	s.left = budget{Rewind: t.left.Rewind}
	s.before = [maxBehind]objects{}
	s.isSaved = false
	m.tidyCalm(&s)
	var way []moment
	for range 300 {
		if calm[s] || m.arrived(&s) {
			for _, w := range way {
				calm[w] = true
			}
			return true
		}
		way = append(way, s)
		next, moved := m.calmStep(&s)
		if !moved {
			return false
		}
		s = next
	}
	return false
}

func (m *model) tidyCalm(s *moment) {
	m.tidy(s)
	s.before = [maxBehind]objects{}
}

func (m *model) calmStep(s *moment) (moment, bool) {
	kept := m.edges
	back := m.wentBack
	m.edges, m.calm, m.wentBack = nil, true, m.notices(s)
	defer func() { m.edges, m.calm, m.broken, m.wentBack = kept, false, "", back }()
	first := func() (moment, bool) {
		for _, e := range m.edges {
			e.to.before = [maxBehind]objects{}
			if e.to != *s {
				return e.to, true
			}
		}
		m.edges = m.edges[:0]
		return *s, false
	}
	for k, r := range s.requests {
		if r.from != 0 && r.from != nobody {
			m.takes(s, k)
			return first()
		}
	}
	for i := range s.procs {
		if m.step(s, i); len(m.edges) > 0 {
			if to, moved := first(); moved {
				return to, true
			}
		}
	}
	if m.learnable(s) && s.payment != 0 && !m.paymentBrief[s.payment].called {
		t := *s
		m.callBack(&t)
		m.tidyCalm(&t)
		return t, true
	}
	m.tick(s)
	return first()
}

// apiRules are the rules of the CRDs, as the API server applies them.
type apiRules struct {
	charges, payments *crdRules
}

type crdRules struct {
	schema    *structuralschema.Structural
	validator *cel.Validator
}

func newAPIRules(t testing.TB) *apiRules {
	t.Helper()
	return &apiRules{charges: readCRD(t, "charges"), payments: readCRD(t, "payments")}
}

func readCRD(t testing.TB, plural string) *crdRules {
	t.Helper()
	text, err := os.ReadFile("../../config/crd/bases/mobilemoney.dev_" + plural + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd, internal := &apiextensionsv1.CustomResourceDefinition{}, &apiextensions.CustomResourceDefinition{}
	for _, err := range []error{
		yaml.UnmarshalStrict(text, crd),
		apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd, internal, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(root, &props, nil); err != nil {
		t.Fatal(err)
	}
	schema, err := structuralschema.NewStructural(&props)
	if err != nil {
		t.Fatal(err)
	}
	return &crdRules{schema: schema, validator: cel.NewValidator(schema, true, celconfig.PerCallLimit)}
}

// refuses is why old may not become next; empty: it may.
func (r *crdRules) refuses(old, next any) string {
	errs, _ := r.validator.Validate(context.Background(), nil, r.schema, plain(next), plain(old), celconfig.RuntimeCELCostBudget)
	var all []string
	for _, e := range errs {
		all = append(all, e.Error())
	}
	return strings.Join(all, "; ")
}

func plain(v any) map[string]any {
	out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(v)
	if err != nil {
		panic(err)
	}
	return out
}
