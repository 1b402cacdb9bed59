package stub

import (
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Transform makes what the caches of a process hold of what the API server says: a stub of what
// is over, and of the rest one copy of the strings that objects share.
type Transform struct {
	// PaymentOver tells whether nothing is left to do for a Payment, as far as it shows itself.
	PaymentOver func(*v1alpha1.Payment) bool
	// ChargeOver is the same of a Charge, whatever has become of its Payment.
	ChargeOver func(*v1alpha1.Charge) bool
	// Prompted is when a Charge rang a phone, if that counts against the prompt limit still; zero: it does not.
	Prompted func(*v1alpha1.Charge) time.Time

	paid    v1alpha1.Outcome
	strings pool
}

// New returns a Transform.
func New(paymentOver func(*v1alpha1.Payment) bool, chargeOver func(*v1alpha1.Charge) bool, prompted func(*v1alpha1.Charge) time.Time) *Transform {
	// All stubs that were paid share an outcome: nobody writes to what a cache holds.
	return &Transform{PaymentOver: paymentOver, ChargeOver: chargeOver, Prompted: prompted, paid: v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded}}
}

// Payment is the transform of their cache.
func (t *Transform) Payment(o any) (any, error) {
	p, ok := o.(*v1alpha1.Payment)
	switch {
	case !ok || Is(p):
		return o, nil
	case t.PaymentOver(p):
		return t.payment(p), nil
	default:
		t.sharePayment(p)
		return p, nil
	}
}

// Charge is the transform of their cache.
func (t *Transform) Charge(o any) (any, error) {
	c, ok := o.(*v1alpha1.Charge)
	switch {
	case !ok || Is(c):
		return o, nil
	case t.ChargeOver(c):
		return t.charge(c), nil
	default:
		t.shareCharge(c)
		return c, nil
	}
}

// Held is what a cache holds of o, which stays as it is.
func (t *Transform) Held(o client.Object) client.Object {
	var held any
	switch o := o.(type) {
	case *v1alpha1.Payment:
		held, _ = t.Payment(o.DeepCopy())
	case *v1alpha1.Charge:
		held, _ = t.Charge(o.DeepCopy())
	default:
		return o
	}
	return held.(client.Object)
}

// sharePayment drops what no loop reads, too: a Payment is never written but for its status.
func (t *Transform) sharePayment(p *v1alpha1.Payment) {
	t.strip(p)
	p.TypeMeta = metav1.TypeMeta{}
	if delete(p.Annotations, corev1.LastAppliedConfigAnnotation); len(p.Annotations) == 0 {
		p.Annotations = nil
	}
	share(t, &p.Spec.Provider, &p.Spec.Currency)
	share(t, &p.Spec.ReturnURL, &p.Spec.CancelURL)
	s := &p.Status
	share(t, &s.Phase)
	share(t, &s.Account, &s.Environment, &s.Currency)
	for i := range s.Conditions {
		c := &s.Conditions[i]
		share(t, &c.Type, &c.Reason, &c.Message)
		share(t, &c.Status)
	}
	if s.NextAction != nil {
		share(t, &s.NextAction.Type)
	}
	if s.LastCallback != nil {
		share(t, &s.LastCallback.Claim)
	}
}

func (t *Transform) shareCharge(c *v1alpha1.Charge) {
	t.strip(c)
	c.TypeMeta = metav1.TypeMeta{}
	c.Spec.Account = t.pin(c.Spec.Account)
	share(t, &c.Spec.InstallationID, &c.Spec.ReferenceVersion, &c.Spec.Payment.Namespace, &c.Spec.Provider)
	share(t, &c.Spec.Requested.Currency, &c.Spec.Money.Currency)
	if c.Spec.Requested.Amount == c.Spec.Money.Amount {
		c.Spec.Requested.Amount = c.Spec.Money.Amount
	}
	for i := range c.Record.Open {
		share(t, &c.Record.Open[i].Sender, &c.Record.Open[i].Credentials)
	}
	if n := c.Record.Notice; n != nil {
		share(t, &n.Reason, &n.Code, &n.Message)
	}
	if o := c.Record.Outcome; o != nil {
		share(t, &o.Phase)
		share(t, &o.Reason, &o.Code, &o.Message)
	}
}

// strip takes away what only the API server needs.
func (t *Transform) strip(o client.Object) {
	o.SetManagedFields(nil)
	o.SetNamespace(shared(t, o.GetNamespace()))
}

func (t *Transform) pin(a v1alpha1.AccountPin) v1alpha1.AccountPin {
	share(t, &a.Kind, &a.Namespace, &a.Name, &a.Environment, &a.BaseURL, &a.TokenURL, &a.TargetEnvironment)
	return a
}

// maxStrings bounds the strings that are known to be shared. Beyond it, they are learnt anew.
const maxStrings = 4096

// pool of the strings that objects share. That of package unique forgets each of them at the next garbage collection,
// since what objects hold are strings and no handles.
type pool struct {
	mu   sync.Mutex
	seen map[string]string
}

// of returns the one copy of s.
func (p *pool) of(s string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one, ok := p.seen[s]; ok {
		return one
	}
	if p.seen == nil || len(p.seen) >= maxStrings {
		p.seen = map[string]string{}
	}
	s = strings.Clone(s)
	p.seen[s] = s
	return s
}

func shared[S ~string](t *Transform, s S) S {
	if s == "" {
		return s
	}
	return S(t.strings.of(string(s)))
}

func share[S ~string](t *Transform, all ...*S) {
	for _, s := range all {
		*s = shared(t, *s)
	}
}
