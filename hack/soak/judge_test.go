package main

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// scene is one sale of 7500, and what there is about it.
type scene struct{ evidence }

// begun is a sale of which the provider has an open session, and the operator says that it waits for the payer.
func begun(provider string) *scene {
	sc := &scene{evidence{
		sales: []sale{{namespace: "shop", name: "order", provider: provider, amount: 7500, acknowledged: true}},
		charges: v1alpha1.ChargeList{Items: []v1alpha1.Charge{{Spec: v1alpha1.ChargeSpec{
			Payment: v1alpha1.PaymentIdentity{Namespace: "shop", Name: "order"}, Provider: provider, ProviderReference: "ref",
			Money: v1alpha1.Money{Amount: "7500", Currency: "XOF"},
		}}}},
		payments: v1alpha1.PaymentList{Items: []v1alpha1.Payment{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "order"}}}},
	}}
	sc.charges.Items[0].Record.Sends, sc.charges.Items[0].Record.Taken = 1, &v1alpha1.Taken{Send: 1}
	sc.enter(simulator.Opened, "7500", "")
	sc.session("open")
	sc.says(v1alpha1.PhaseProcessing)
	return sc
}

func (sc *scene) enter(event simulator.Event, amount, refund string) {
	sc.ledger = append(sc.ledger, simulator.LedgerEntry{
		Provider: simulator.Provider(sc.sales[0].provider), Reference: "ref", Amount: amount, Currency: "XOF", Event: event, Refund: refund,
	})
}

// session puts it in the place of the one that there is.
func (sc *scene) session(state string) {
	sc.sessions = []simulator.Session{{Reference: "ref", State: state, Seen: true}}
}

func (sc *scene) pay() {
	sc.enter(simulator.Paid, "7500", "")
	sc.session("paid")
}

func (sc *scene) says(phase v1alpha1.Phase) {
	st := &sc.payments.Items[0].Status
	st.Phase, st.ProviderReference = phase, "ref"
	if phase == v1alpha1.PhaseSucceeded {
		st.Amount, st.Currency, st.TransactionID = "7500.00", "XOF", "T1"
	}
}

func (sc *scene) end(phase v1alpha1.Phase) *scene {
	sc.says(phase)
	if phase == v1alpha1.PhaseUnknown {
		sc.charges.Items[0].Record.Unknown = &v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown}
		return sc
	}
	sc.charges.Items[0].Record.Outcome = &v1alpha1.Outcome{Phase: phase}
	return sc
}

func paid(provider string) *scene {
	sc := begun(provider)
	sc.pay()
	return sc.end(v1alpha1.PhaseSucceeded)
}

// nothing arrived at the provider.
func (sc *scene) nothing() *scene {
	sc.ledger, sc.sessions = nil, nil
	return sc
}

func (sc *scene) lost() *scene {
	sc.end(v1alpha1.PhaseUnknown).charges.Items[0].Record.Unknown.Reason = v1alpha1.ReasonLostInitiation
	return sc
}

// refund adds a Refund, its entry in the Charge, and its places in the books.
func (sc *scene) refund(name, amount string, phase v1alpha1.RefundPhase, made int) *scene {
	reference := ""
	if sc.sales[0].provider == "mtn" {
		reference = "refund-" + name
	}
	sc.refunds.Items = append(sc.refunds.Items, v1alpha1.Refund{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       v1alpha1.RefundSpec{PaymentRef: v1alpha1.PaymentReference{Name: "order"}}, Status: v1alpha1.RefundStatus{Phase: phase},
	})
	rec := &sc.charges.Items[0].Record
	rec.Refunds = append(rec.Refunds, v1alpha1.ChargeRefund{Name: name, Reference: reference})
	for range made {
		sc.enter(simulator.Refunded, amount, reference)
	}
	return sc
}

func TestAssess(t *testing.T) {
	const succeeded, failed, unknown = v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed, v1alpha1.PhaseUnknown
	good, double, untrue, over, lost := [4]int{}, [4]int{1}, [4]int{0, 1}, [4]int{0, 0, 1}, [4]int{0, 0, 0, 1}
	for name, tt := range map[string]struct {
		scene *scene
		do    func(*scene)
		want  [4]int // double charges, false successes, over-refunds, lost outcomes
	}{
		"paid, and says so":                     {paid("mtn"), nil, good},
		"refused, and says so":                  {begun("mtn").end(failed), func(sc *scene) { sc.session("failed") }, good},
		"refused before it had a session":       {begun("orange").nothing().end(failed), nil, good},
		"undecided":                             {begun("mtn").end(unknown), nil, good},
		"over, and Orange never says so":        {begun("orange"), func(sc *scene) { sc.session("lapsed") }, good},
		"undecided, and says nothing":           {begun("mtn"), nil, lost},
		"nothing arrived in time":               {begun("mtn").nothing().end(unknown), nil, good},
		"nobody can pay it":                     {begun("orange").lost(), nil, good},
		"deleted, and followed to its end":      {paid("wave"), func(sc *scene) { sc.sales[0].gone, sc.payments.Items = true, nil }, good},
		"deleted before anything arrived":       {begun("wave").nothing().end(unknown), func(sc *scene) { sc.sales[0].gone, sc.payments.Items = true, nil }, good},
		"not acknowledged, and not there":       {&scene{evidence{sales: []sale{{name: "order", provider: "mtn", amount: 7500}}}}, nil, good},
		"charged twice":                         {paid("wave"), (*scene).pay, double},
		"charged, and nobody asked":             {paid("mtn"), func(sc *scene) { sc.enter(simulator.Paid, "8500", ""); sc.ledger[2].Reference = "other" }, double},
		"asked for under two references":        {paid("wave"), func(sc *scene) { sc.enter(simulator.Opened, "7500", ""); sc.ledger[2].Reference = "other" }, lost},
		"paid, and waits":                       {begun("mtn"), (*scene).pay, lost},
		"paid, and the Payment waits":           {paid("mtn"), func(sc *scene) { sc.says(v1alpha1.PhaseProcessing) }, lost},
		"paid, and the Payment is Unknown":      {paid("mtn"), func(sc *scene) { sc.says(unknown) }, lost},
		"paid, and says refused":                {begun("orange").end(failed), (*scene).pay, lost},
		"paid, and nobody could":                {begun("orange").lost(), (*scene).pay, lost},
		"Unknown, and refused":                  {begun("mtn").end(unknown), func(sc *scene) { sc.session("failed") }, lost},
		"Unknown, and expired":                  {begun("wave").end(unknown), func(sc *scene) { sc.session("expired") }, lost},
		"never sent":                            {begun("mtn").nothing(), func(sc *scene) { sc.says(v1alpha1.PhasePending) }, lost},
		"says expired, and can still be paid":   {begun("wave").end(v1alpha1.PhaseExpired), nil, lost},
		"the Payment is gone":                   {paid("mtn"), func(sc *scene) { sc.payments.Items = nil }, lost},
		"the Charge is gone":                    {begun("mtn"), func(sc *scene) { sc.charges.Items = nil }, lost},
		"not paid, and says so":                 {begun("mtn").end(succeeded), nil, untrue},
		"another amount":                        {paid("mtn"), func(sc *scene) { sc.payments.Items[0].Status.Amount = "75" }, untrue},
		"another currency":                      {paid("mtn"), func(sc *scene) { sc.payments.Items[0].Status.Currency = "EUR" }, untrue},
		"another reference":                     {paid("mtn"), func(sc *scene) { sc.payments.Items[0].Status.ProviderReference = "other" }, lost},
		"no transaction":                        {paid("mtn"), func(sc *scene) { sc.payments.Items[0].Status.TransactionID = "" }, lost},
		"given back":                            {paid("wave").refund("back", "7500", v1alpha1.RefundSucceeded, 1), nil, good},
		"given back in parts, a third too many": {paid("mtn").refund("a", "3500", v1alpha1.RefundSucceeded, 1).refund("b", "3500", v1alpha1.RefundSucceeded, 1).refund("c", "3500", v1alpha1.RefundFailed, 0), nil, good},
		"by hand":                               {paid("orange").refund("back", "7500", v1alpha1.RefundManualActionRequired, 0), nil, good},
		"given back more than was paid":         {paid("mtn").refund("a", "4500", v1alpha1.RefundSucceeded, 1).refund("b", "4500", v1alpha1.RefundSucceeded, 1), nil, over},
		"one refund made twice":                 {paid("mtn").refund("a", "3500", v1alpha1.RefundSucceeded, 2), nil, over},
		"not given back, and says so":           {paid("wave").refund("back", "7500", v1alpha1.RefundSucceeded, 0), nil, untrue},
		"another one was given back":            {paid("mtn").refund("a", "3500", v1alpha1.RefundSucceeded, 1).refund("b", "3500", v1alpha1.RefundSucceeded, 0), nil, untrue},
		"given back, and says Failed":           {paid("mtn").refund("a", "3500", v1alpha1.RefundFailed, 1), nil, lost},
		"given back, and waits":                 {paid("wave").refund("back", "7500", v1alpha1.RefundProcessing, 1), nil, lost},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.do != nil {
				tt.do(tt.scene)
			}
			v := assess(tt.scene.evidence)
			var got [4]int
			got[0], got[1], got[2], got[3] = count(v.faults)
			NewWithT(t).Expect(got).To(Equal(tt.want), fmt.Sprint(v.faults))
		})
	}
}

// What was said was true at the time, and stayed so.
func TestWitness(t *testing.T) {
	for name, tt := range map[string]struct {
		scene  *scene
		phases []v1alpha1.Phase
		again  bool // each is made again
		faults int
	}{
		"paid, and says so":               {paid("mtn"), []v1alpha1.Phase{v1alpha1.PhaseProcessing, v1alpha1.PhaseSucceeded}, false, 0},
		"said it before it was paid":      {begun("mtn"), []v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseSucceeded}, false, 1},
		"a success that was taken back":   {paid("mtn"), []v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed}, false, 1},
		"a refusal that became an expiry": {begun("mtn"), []v1alpha1.Phase{v1alpha1.PhaseFailed, v1alpha1.PhaseExpired}, false, 1},
		"back to Pending":                 {begun("mtn"), []v1alpha1.Phase{v1alpha1.PhaseProcessing, v1alpha1.PhasePending}, false, 1},
		"made again, and starts over":     {paid("mtn"), []v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseProcessing}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g, saw := NewWithT(t), 0
			w := &witness{open: map[types.UID]bool{}, ledger: func() []simulator.LedgerEntry { return tt.scene.ledger }, see: func(*v1alpha1.Payment) { saw++ }}
			var old client.Object
			for i, phase := range tt.phases {
				tt.scene.says(phase)
				p := tt.scene.payments.Items[0].DeepCopy()
				if p.ResourceVersion = fmt.Sprint(i); tt.again {
					p.UID = types.UID(p.ResourceVersion)
				}
				w.record(old, p)
				w.record(p, p) // a list that says nothing new
				old = p
			}
			faults, versions := w.testify()
			g.Expect(faults).To(HaveLen(tt.faults))
			g.Expect(versions).To(Equal(len(tt.phases)))
			g.Expect(saw).To(Equal(versions))
		})
	}
}
