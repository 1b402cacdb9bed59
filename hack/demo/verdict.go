package main

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld/judge"
	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// Annotations by which a sample says how it has to end. All but the first may be left out.
const (
	annotationEnd    = "demo.mobilemoney.dev/ends-as"
	annotationReason = "demo.mobilemoney.dev/reason"
	annotationCode   = "demo.mobilemoney.dev/provider-code"
)

// books are what the other side knows: who paid what, and which callbacks it sent.
type books struct {
	ledger []simulator.LedgerEntry
	sent   []simulator.Sent
}

// verdict on one payment: what the ledger says, and what is wrong.
type verdict struct {
	charges int
	faults  []string
}

// judgePayment compares how p ended with what its sample says, and with the ledger,
// which knows nothing of the operator.
func judgePayment(p *v1alpha1.Payment, b books) verdict {
	book := judge.BookOf(p.Status.ProviderReference, b.ledger, nil, nil)
	v := verdict{charges: len(book.Charges)}
	v.expect("phase", string(p.Status.Phase), p.Annotations[annotationEnd])
	if want, ok := p.Annotations[annotationReason]; ok {
		v.expect("reason", shop.ReasonOf(p), want)
	}
	if want, ok := p.Annotations[annotationCode]; ok {
		code := ""
		if p.Status.Failure != nil {
			code = p.Status.Failure.ProviderCode
		}
		v.expect("provider code", code, want)
	}
	if !meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionFinished) {
		v.fault("it is not finished")
	}
	if v.charges > 1 {
		v.fault("the payer was charged %d times", v.charges)
	}
	if p.Status.Phase != v1alpha1.PhaseSucceeded {
		v.rules(book.Failure("it"))
		return v
	}
	v.rules(book.Success("it", v1alpha1.Money{Amount: p.Status.Amount, Currency: p.Status.Currency}))
	if !providers.EqualAmount(p.Status.Amount, p.Spec.Amount.String()) {
		v.fault("status says that %s was paid, and %s was asked for", p.Status.Amount, p.Spec.Amount.String())
	}
	if p.Status.TransactionID == "" {
		v.fault("it has no transactionID")
	}
	return v
}

func (v *verdict) rules(broken []judge.Violation) {
	for _, b := range broken {
		v.fault("%s", b.Text)
	}
}

func (v *verdict) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

func (v *verdict) expect(what, got, want string) {
	if got != want {
		v.fault("%s is %q, its sample says %q", what, got, want)
	}
}

// strangers are charges that no Payment speaks of.
func (b books) strangers(payments []v1alpha1.Payment) []simulator.LedgerEntry {
	return slices.DeleteFunc(slices.Clone(b.ledger), func(e simulator.LedgerEntry) bool {
		return e.Event != simulator.Paid || slices.ContainsFunc(payments, func(p v1alpha1.Payment) bool {
			return p.Status.ProviderReference == e.Reference
		})
	})
}

// callbacks counts those of p that were sent, and those that the operator took.
func (b books) callbacks(p *v1alpha1.Payment) (sent, taken int) {
	for _, c := range b.sent {
		if c.Reference == p.Status.ProviderReference {
			sent++
			if c.Status == 200 {
				taken++
			}
		}
	}
	return sent, taken
}

// conclude says what happened, and whether it is what had to.
func (s *stage) conclude(payments []v1alpha1.Payment) error {
	b := books{ledger: s.Sim.Ledger(), sent: s.Sim.Callbacks()}
	s.out.printf("\nWhat happened, and what the simulator's ledger says:\n\n")
	wrong, charges := 0, 0
	for i := range payments {
		p := &payments[i]
		v := judgePayment(p, b)
		charges += v.charges
		sent, taken := b.callbacks(p)
		wrong += s.tell(v, "%-20s  %-42s  charges: %d  %d of %d callbacks taken", p.Name, ending(p), v.charges, taken, sent)
	}
	strangers := b.strangers(payments)
	for _, e := range strangers {
		s.out.printf("%s  a charge that no Payment speaks of: %s %s to %s, reference %s\n",
			s.out.paint(red, "BAD "), e.Amount, e.Currency, e.Provider, e.Reference)
	}
	s.out.printf("\n%d of %d payments ended as their samples say; the ledger has %d charges.\n",
		len(payments)-wrong, len(payments), charges+len(strangers))
	s.out.printf("\n")
	if wrong > 0 || len(strangers) > 0 {
		return fmt.Errorf("%d payments are not as they should be", wrong+len(strangers))
	}
	return nil
}

// tell what became of one thing and what is wrong with it; 1 if anything is, else 0.
func (s *stage) tell(v verdict, format string, args ...any) (wrong int) {
	mark := s.out.paint(green, "ok  ")
	if len(v.faults) > 0 {
		mark, wrong = s.out.paint(red, "BAD "), 1
	}
	s.out.printf("%s  %s\n", mark, fmt.Sprintf(format, args...))
	for _, fault := range v.faults {
		s.out.printf("      %s\n", fault)
	}
	return wrong
}

func ending(p *v1alpha1.Payment) string {
	why := shop.ReasonOf(p)
	if f := p.Status.Failure; f != nil && f.ProviderCode != "" && !strings.EqualFold(f.ProviderCode, string(p.Status.Phase)) {
		why += ": " + f.ProviderCode
	}
	return fmt.Sprintf("%s (%s)", p.Status.Phase, why)
}
