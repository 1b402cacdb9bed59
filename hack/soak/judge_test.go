package main

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// scene is one sale for 7500, number 7, and what there is about it.
type scene struct{ evidence }

const sceneReference = "ref-7"

// begun is a sale of which the provider has an open session, and the operator says
// that it waits for the payer.
func begun(provider string) *scene {
	s := sale{number: 7, namespace: "shop", name: "order", provider: provider, amount: 7500, acknowledged: true}
	sc := &scene{evidence{sales: []sale{s}}}
	sc.enter(simulator.Opened, noon)
	sc.session("open")
	sc.charges = []v1alpha1.Charge{{Spec: v1alpha1.ChargeSpec{
		Payment: v1alpha1.PaymentIdentity{Namespace: "shop", Name: "order"}, Reference: "sale-7",
		Provider: provider, ProviderReference: sceneReference,
	}}}
	sc.add("order", "uid-1")
	sc.says(v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
	return sc
}

func paidScene(provider string) *scene {
	sc := begun(provider)
	sc.pay()
	sc.learn()
	return sc
}

func (sc *scene) enter(event simulator.Event, at time.Time) {
	sc.ledger = append(sc.ledger, simulator.LedgerEntry{
		Provider: simulator.Provider(sc.sales[0].provider), Reference: sceneReference, Session: "session",
		Amount: "7500", Currency: "XOF", Event: event, At: at,
	})
}

// session puts it in the place of the one that there is.
func (sc *scene) session(state string) {
	sc.sessions = []simulator.Session{{
		Provider: simulator.Provider(sc.sales[0].provider), Reference: sceneReference, State: state, Delivered: true, Seen: true,
	}}
}

func (sc *scene) add(name string, uid types.UID) {
	sc.payments = append(sc.payments, v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: uid},
		Spec:       v1alpha1.PaymentSpec{Reference: "sale-7", Provider: sc.sales[0].provider},
	})
}

// says is what the newest Payment says from now on.
func (sc *scene) says(phase v1alpha1.Phase, reason string) *v1alpha1.Payment {
	p := &sc.payments[len(sc.payments)-1]
	p.Status.Phase = phase
	p.Status.ProviderReference = sceneReference
	p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSucceeded, Reason: reason}}
	return p
}

func (sc *scene) pay() {
	sc.enter(simulator.Paid, noon.Add(time.Minute))
	sc.session("paid")
}

// learn lets Payment and Charge say that it was paid.
func (sc *scene) learn() {
	st := &sc.says(v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid).Status
	st.Amount, st.Currency, st.TransactionID = "7500.00", "XOF", "T1"
	sc.charges[0].Record.Outcome = &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseSucceeded}
}

func (sc *scene) end(phase v1alpha1.Phase, reason string) {
	sc.says(phase, reason)
	sc.charges[0].Record.Outcome = &v1alpha1.ChargeOutcome{Phase: phase, Reason: reason}
}

func (sc *scene) hold(reason string) {
	sc.says(v1alpha1.PhaseUnknown, reason)
	sc.charges[0].Record.Hold = &v1alpha1.ChargeHold{Reason: reason}
}

// seen adds a version to the history of uid-1, so long after noon.
func (sc *scene) seen(after time.Duration, phase v1alpha1.Phase) *version {
	sc.versions = append(sc.versions, version{
		uid: "uid-1", namespace: "shop", name: "order", sale: "sale-7", seen: noon.Add(after),
		phase: phase, succeeded: phase == v1alpha1.PhaseSucceeded, reference: sceneReference,
	})
	return &sc.versions[len(sc.versions)-1]
}

func TestJudge(t *testing.T) {
	const minute = time.Minute
	tests := map[string]struct {
		scene func() *scene
		want  verdict // but violations
		fault string  // part of the first violation; none if empty
	}{
		"paid, and says so": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.seen(0, v1alpha1.PhaseProcessing)
			sc.seen(2*minute, v1alpha1.PhaseSucceeded)
			return sc
		}},
		"refused, and says so": {scene: func() *scene {
			sc := begun("mtn")
			sc.session("failed")
			sc.end(v1alpha1.PhaseFailed, v1alpha1.ReasonPayerDeclined)
			return sc
		}},
		"never opened, and refused": {scene: func() *scene {
			sc := begun("orange")
			sc.ledger, sc.sessions = nil, nil
			sc.end(v1alpha1.PhaseFailed, v1alpha1.ReasonRequestRejected)
			return sc
		}},
		"undecided": {scene: func() *scene { return begun("mtn") }, want: verdict{undecided: 1}},
		"an order that Orange never says is over": {scene: func() *scene {
			sc := begun("orange")
			sc.session("lapsed")
			return sc
		}, want: verdict{undecided: 1}},
		"held, and nobody can pay": {scene: func() *scene {
			sc := begun("orange")
			sc.hold(v1alpha1.ReasonLostInitiation)
			return sc
		}, want: verdict{held: 1}},
		"deleted for good, and followed to its end": {scene: func() *scene {
			sc := paidScene("wave")
			sc.sales[0].gone, sc.payments = true, nil
			return sc
		}},
		"deleted for good before anything was taken": {scene: func() *scene {
			sc := begun("wave")
			sc.sales[0].gone, sc.payments, sc.ledger, sc.sessions = true, nil, nil, nil
			return sc
		}},
		"deleted for good, and held": {scene: func() *scene {
			sc := begun("orange")
			sc.hold(v1alpha1.ReasonLostInitiation)
			sc.sales[0].gone, sc.payments = true, nil
			return sc
		}, want: verdict{held: 1}},
		"two Payments with one reference, of which one is refused": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.sales[0].twin = true
			sc.add("order-twin", "uid-2")
			sc.says(v1alpha1.PhaseFailed, v1alpha1.ReasonDuplicateReference)
			return sc
		}},
		"refused for a twin that there is not": {scene: func() *scene {
			sc := begun("mtn")
			sc.session("failed")
			sc.says(v1alpha1.PhaseFailed, v1alpha1.ReasonDuplicateReference)
			return sc
		}, fault: "is the only one"},
		"refused for another amount, and there is none": {scene: func() *scene {
			sc := begun("mtn")
			sc.session("failed")
			sc.says(v1alpha1.PhaseFailed, v1alpha1.ReasonReferenceConflict)
			return sc
		}, fault: "is the only one"},
		"the second of two while the payer can still pay": {scene: func() *scene {
			sc := begun("mtn")
			sc.sales[0].twin = true
			sc.add("order-twin", "uid-2")
			sc.says(v1alpha1.PhaseFailed, v1alpha1.ReasonDuplicateReference)
			return sc
		}, want: verdict{undecided: 1}},
		"not acknowledged, and not there": {scene: func() *scene {
			return &scene{evidence{sales: []sale{{number: 7, namespace: "shop", name: "order", provider: "mtn", amount: 7500}}}}
		}},

		"charged twice": {scene: func() *scene {
			sc := paidScene("wave")
			sc.pay()
			return sc
		}, want: verdict{doubleCharges: 1}, fault: "charged 2 times"},
		"charged twice under two references": {scene: func() *scene {
			sc := paidScene("wave")
			sc.ledger = append(sc.ledger, sc.ledger...)
			sc.ledger[2].Reference, sc.ledger[3].Reference = "ref-8", "ref-8"
			return sc
		}, want: verdict{doubleCharges: 1}, fault: "charged 2 times"},
		"asked for under two references": {scene: func() *scene {
			sc := paidScene("wave")
			sc.enter(simulator.Opened, noon)
			sc.ledger[2].Reference = "ref-8"
			return sc
		}, fault: "two references"},
		"charged, and nobody asked": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.enter(simulator.Paid, noon)
			sc.ledger[2].Amount, sc.ledger[2].Reference = "8500", "ref-8"
			return sc
		}, want: verdict{doubleCharges: 1}, fault: "nobody asked for"},

		"paid, and waits": {scene: func() *scene {
			sc := begun("mtn")
			sc.pay()
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "its Charge says nothing"},
		"paid, the Charge knows, and the Payment waits": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.says(v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "was paid, and says [Processing"},
		"paid, and says refused": {scene: func() *scene {
			sc := begun("orange")
			sc.pay()
			sc.end(v1alpha1.PhaseFailed, v1alpha1.ReasonProviderRefused)
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "its Charge says Failed"},
		"paid, and held": {scene: func() *scene {
			sc := begun("orange")
			sc.pay()
			sc.hold(v1alpha1.ReasonLostInitiation)
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "held: LostInitiation"},
		"paid, and taken for an earlier sale": {scene: func() *scene {
			sc := begun("mtn")
			sc.pay()
			sc.hold(v1alpha1.ReasonReusedReference)
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "held: ReusedReference"},
		"held, and not at Orange": {scene: func() *scene {
			sc := begun("wave")
			sc.session("expired")
			sc.hold(v1alpha1.ReasonLostInitiation)
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "has decided"},
		"refused, and waits": {scene: func() *scene {
			sc := begun("mtn")
			sc.session("failed")
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "has decided"},
		"expired, and unknown": {scene: func() *scene {
			sc := begun("wave")
			sc.session("expired")
			sc.hold(v1alpha1.ReasonOutcomeUnknown)
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "has decided"},
		"never asked for": {scene: func() *scene {
			sc := begun("mtn")
			sc.ledger, sc.sessions = nil, nil
			sc.says(v1alpha1.PhasePending, v1alpha1.ReasonAccepted)
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "never asked"},
		"says expired, and the payer can still pay": {scene: func() *scene {
			sc := begun("wave")
			sc.end(v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout)
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "can still pay"},
		"the Payment is gone": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.payments = nil
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "Payment is gone"},
		"the twin is gone": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.sales[0].twin = true
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "twin of its Payment is gone"},
		"the Charge is gone": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.charges = nil
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "no Charge"},
		"two Charges": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.charges = append(sc.charges, sc.charges[0])
			return sc
		}, fault: "2 Charges"},
		"deleted for good, and not followed": {scene: func() *scene {
			sc := begun("wave")
			sc.sales[0].gone, sc.payments = true, nil
			sc.session("expired")
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "has decided"},

		"not paid, and says so": {scene: func() *scene {
			sc := begun("mtn")
			sc.learn()
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: "was paid, and was not"},
		"not paid, and only the Charge says so": {scene: func() *scene {
			sc := begun("mtn")
			sc.charges[0].Record.Outcome = &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseSucceeded}
			return sc
		}, want: verdict{falseSuccesses: 1, undecided: 1}, fault: "the Charge of order"},
		"another amount": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.payments[0].Status.Amount = "75"
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: "75 XOF"},
		"another currency": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.payments[0].Status.Currency = "EUR"
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: "7500.00 EUR"},
		"another reference": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.payments[0].Status.ProviderReference = "ref-9"
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: "ref-9"},
		"no transaction": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.payments[0].Status.TransactionID = ""
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: `by ""`},
		"two Payments say that one charge paid them": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.sales[0].twin = true
			sc.add("order-twin", "uid-2")
			sc.learn()
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: "2 Payments say"},

		"said it before it was paid": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.seen(minute-time.Millisecond, v1alpha1.PhaseSucceeded)
			sc.seen(2*minute, v1alpha1.PhaseSucceeded)
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: "was not yet"},
		"said it for a moment": {scene: func() *scene {
			sc := begun("mtn")
			sc.session("failed")
			sc.end(v1alpha1.PhaseFailed, v1alpha1.ReasonPayerDeclined)
			sc.seen(0, v1alpha1.PhaseProcessing).succeeded = true
			sc.seen(minute, v1alpha1.PhaseFailed)
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: "was not yet"},
		"a success that was taken back": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.seen(2*minute, v1alpha1.PhaseSucceeded)
			sc.seen(3*minute, v1alpha1.PhaseProcessing)
			sc.seen(4*minute, v1alpha1.PhaseSucceeded)
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: "from Succeeded to Processing"},
		"a refusal that became a success": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.seen(0, v1alpha1.PhaseFailed)
			sc.seen(2*minute, v1alpha1.PhaseSucceeded)
			return sc
		}, want: verdict{falseSuccesses: 1}, fault: "from Failed to Succeeded"},
		"a refusal that became an expiry": {scene: func() *scene {
			sc := begun("mtn")
			sc.session("failed")
			sc.end(v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout)
			sc.seen(0, v1alpha1.PhaseFailed)
			sc.seen(minute, v1alpha1.PhaseExpired)
			return sc
		}, want: verdict{lostOutcomes: 1}, fault: "from Failed to Expired"},
		"another reference than before": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.seen(0, v1alpha1.PhaseProcessing).reference = "ref-6"
			sc.seen(2*minute, v1alpha1.PhaseSucceeded)
			return sc
		}, fault: "its reference was ref-6"},
		"another transaction than before": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.seen(2*minute, v1alpha1.PhaseSucceeded).transaction = "T0"
			sc.seen(3*minute, v1alpha1.PhaseSucceeded).transaction = "T1"
			return sc
		}, fault: "its transaction was T0"},
		"applied again, and the new one starts over": {scene: func() *scene {
			sc := paidScene("mtn")
			sc.seen(2*minute, v1alpha1.PhaseSucceeded)
			sc.seen(3*minute, v1alpha1.PhaseProcessing).uid = "uid-2"
			sc.seen(4*minute, v1alpha1.PhaseSucceeded).uid = "uid-2"
			return sc
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { expectVerdict(t, judge(tt.scene().evidence), tt.want, tt.fault) })
	}
}

func expectVerdict(t *testing.T, got, want verdict, fault string) {
	t.Helper()
	g := NewWithT(t)
	violations := got.violations
	got.violations = nil
	g.Expect(got).To(Equal(want), strings.Join(violations, "\n"))
	if fault == "" {
		g.Expect(violations).To(BeEmpty())
		return
	}
	g.Expect(violations).NotTo(BeEmpty())
	g.Expect(violations[0]).To(ContainSubstring(fault))
}

// refund adds a Refund, its claim on the Charge, and its place in the books if it was
// made.
func (sc *scene) refund(name, amount string, phase v1alpha1.RefundPhase, made int) {
	reference := ""
	if sc.sales[0].provider == "mtn" {
		reference = "refund-" + name
	}
	sc.refunds = append(sc.refunds, v1alpha1.Refund{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       v1alpha1.RefundSpec{PaymentRef: v1alpha1.PaymentReference{Name: "order"}},
		Status:     v1alpha1.RefundStatus{Phase: phase},
	})
	rec := &sc.charges[0].Record
	rec.Refunds = append(rec.Refunds, v1alpha1.ChargeRefund{Name: name, Reference: reference})
	for range made {
		sc.enter(simulator.Refunded, noon.Add(time.Hour))
		l := &sc.ledger[len(sc.ledger)-1]
		l.Amount, l.Refund = amount, reference
	}
}

func TestJudgeRefunds(t *testing.T) {
	tests := map[string]struct {
		provider string
		refunds  func(*scene)
		want     verdict
		fault    string
	}{
		"made": {"wave", func(sc *scene) { sc.refund("back", "7500", v1alpha1.RefundSucceeded, 1) }, verdict{madeRefunds: 1}, ""},
		"two parts, and a third too many": {"mtn", func(sc *scene) {
			sc.refund("a", "3500", v1alpha1.RefundSucceeded, 1)
			sc.refund("b", "3500", v1alpha1.RefundSucceeded, 1)
			sc.refund("c", "3500", v1alpha1.RefundFailed, 0)
		}, verdict{madeRefunds: 2, failedRefunds: 1}, ""},
		"by hand": {"orange", func(sc *scene) {
			sc.refund("back", "7500", v1alpha1.RefundManualActionRequired, 0)
		}, verdict{manualRefunds: 1}, ""},
		"open": {"mtn", func(sc *scene) { sc.refund("back", "7500", v1alpha1.RefundProcessing, 0) }, verdict{openRefunds: 1}, ""},

		"more than was paid": {"mtn", func(sc *scene) {
			sc.refund("a", "4500", v1alpha1.RefundSucceeded, 1)
			sc.refund("b", "4500", v1alpha1.RefundSucceeded, 1)
		}, verdict{madeRefunds: 2, doubleRefunds: 1}, "9000 were given back of 7500"},
		"made twice": {"mtn", func(sc *scene) {
			sc.refund("a", "3500", v1alpha1.RefundSucceeded, 2)
		}, verdict{madeRefunds: 1, doubleRefunds: 1}, "made 2 times"},
		"not made, and says so": {"wave", func(sc *scene) {
			sc.refund("back", "7500", v1alpha1.RefundSucceeded, 0)
		}, verdict{wrongRefunds: 1}, "was made, and was not"},
		"another one was made": {"mtn", func(sc *scene) {
			sc.refund("a", "3500", v1alpha1.RefundSucceeded, 1)
			sc.refund("b", "3500", v1alpha1.RefundSucceeded, 0)
		}, verdict{madeRefunds: 1, wrongRefunds: 1}, "Refund b"},
		"made, and says failed": {"mtn", func(sc *scene) {
			sc.refund("a", "3500", v1alpha1.RefundFailed, 1)
		}, verdict{wrongRefunds: 1}, "was made, and says Failed"},
		"made, and waits": {"wave", func(sc *scene) {
			sc.refund("back", "7500", v1alpha1.RefundProcessing, 1)
		}, verdict{wrongRefunds: 1}, "was made, and says Processing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sc := paidScene(tt.provider)
			tt.refunds(sc)
			expectVerdict(t, judge(sc.evidence), tt.want, tt.fault)
		})
	}
}
