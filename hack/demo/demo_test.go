package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

func finished(phase v1alpha1.Phase, reason string) *v1alpha1.Payment {
	succeeded := metav1.ConditionFalse
	if phase == v1alpha1.PhaseSucceeded {
		succeeded = metav1.ConditionTrue
	}
	return &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: map[string]string{
			annotationEnd: string(phase), annotationReason: reason,
		}},
		Spec: v1alpha1.PaymentSpec{Provider: "mtn", Amount: v1alpha1.AmountFromInt(5000)},
		Status: v1alpha1.PaymentStatus{
			Phase: phase, Amount: "5000", Currency: "EUR", ProviderReference: "ref", TransactionID: "1",
			Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionFinished, Status: metav1.ConditionTrue, Reason: reason},
				{Type: v1alpha1.ConditionSucceeded, Status: succeeded, Reason: reason},
			},
		},
	}
}

func paidEntry(amount, currency string) simulator.LedgerEntry {
	return simulator.LedgerEntry{
		Provider: simulator.MTN, Reference: "ref", Amount: amount, Currency: currency, Event: simulator.Paid,
	}
}

func TestJudgePayment(t *testing.T) {
	type entries = []simulator.LedgerEntry
	paid := paidEntry("5000", "EUR")
	opened := paid
	opened.Event = simulator.Opened
	success := func() *v1alpha1.Payment { return finished(v1alpha1.PhaseSucceeded, "Paid") }
	decline := func(change func(*v1alpha1.Payment)) *v1alpha1.Payment {
		p := finished(v1alpha1.PhaseFailed, "PayerDeclined")
		change(p)
		return p
	}
	declined := decline(func(*v1alpha1.Payment) {})
	for name, tt := range map[string]struct {
		payment *v1alpha1.Payment
		ledger  entries
		faults  []string
	}{
		"paid once":               {success(), entries{opened, paid}, nil},
		"refused and not charged": {declined, entries{opened}, nil},
		"charged twice":           {success(), entries{paid, paid}, []string{"charged 2 times"}},
		"said to be paid":         {success(), entries{opened}, []string{"was paid nothing"}},
		"said to be refused":      {declined, entries{paid}, []string{"was not paid, and it was"}},
		"another amount":          {success(), entries{paidEntry("50", "EUR")}, []string{"50 EUR was paid"}},
		"another currency":        {success(), entries{paidEntry("5000", "XOF")}, []string{"5000 XOF was paid"}},
		"another end than its sample says": {
			decline(func(p *v1alpha1.Payment) { p.Annotations[annotationEnd] = "Expired" }), nil, []string{`phase is "Failed"`},
		},
		"another reason and code": {
			decline(func(p *v1alpha1.Payment) {
				p.Annotations[annotationReason], p.Annotations[annotationCode] = "PayerNotFound", "PAYER_NOT_FOUND"
			}), nil, []string{`reason is "PayerDeclined"`, `provider code is ""`},
		},
		"not finished": {
			decline(func(p *v1alpha1.Payment) { p.Status.Conditions[0].Status = metav1.ConditionFalse }), nil, []string{"not finished"},
		},
		"a sample that says nothing": {decline(func(p *v1alpha1.Payment) { p.Annotations = nil }), nil, []string{`its sample says ""`}},
	} {
		g, faults := NewWithT(t), judgePayment(tt.payment, books{ledger: tt.ledger}).faults
		g.Expect(faults).To(HaveLen(len(tt.faults)), "%s: %v", name, faults)
		for i, part := range tt.faults {
			g.Expect(faults[i]).To(ContainSubstring(part), name)
		}
	}
}

func TestJudgeRefund(t *testing.T) {
	g := NewWithT(t)
	r := &v1alpha1.Refund{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationEnd: "Succeeded", annotationBack: "1000"}},
		Status:     v1alpha1.RefundStatus{Phase: v1alpha1.RefundSucceeded},
	}
	g.Expect(judgeRefund(r, "1000.0").faults).To(BeEmpty())
	g.Expect(judgeRefund(r, "2000").faults).To(ConsistOf(ContainSubstring("2000 were given back")))
	r.Status.Phase = v1alpha1.RefundFailed
	g.Expect(judgeRefund(r, "0").faults).To(HaveLen(2))
}

func TestStrangers(t *testing.T) {
	g := NewWithT(t)
	stray := paidEntry("5000", "EUR")
	stray.Reference = "other"
	b := books{ledger: []simulator.LedgerEntry{paidEntry("5000", "EUR"), stray}}
	g.Expect(b.strangers([]v1alpha1.Payment{*finished(v1alpha1.PhaseSucceeded, "Paid")})).To(ConsistOf(stray))
}

// Every change is one line, and nothing is written twice.
func TestTable(t *testing.T) {
	g := NewWithT(t)
	var log bytes.Buffer
	table := newTable(&screen{w: &log})
	rows := []row{{name: "a", phase: "Pending"}, {name: "b"}}
	table.show(0, rows)
	table.show(time.Second, rows)
	rows[1].phase = "Processing"
	table.show(2*time.Second, rows)
	g.Expect(bytes.Count(log.Bytes(), []byte("\n"))).To(Equal(3)) // header, a, b
	g.Expect(log.String()).NotTo(ContainSubstring("\x1b"))
}

// Every sample says how it ends, and neither samples nor examples have a field that does not exist.
func TestSamples(t *testing.T) {
	g := NewWithT(t)
	files, err := filepath.Glob("../../" + samples + "/*.yaml*")
	g.Expect(err).NotTo(HaveOccurred())
	ends := map[string]int{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		for _, document := range bytes.Split(content, []byte("\n---\n")) {
			var meta metav1.TypeMeta
			g.Expect(yaml.Unmarshal(document, &meta)).To(Succeed(), file)
			var payment v1alpha1.Payment
			var refund v1alpha1.Refund
			object := map[string]any{
				"Payment": &payment, "Refund": &refund, "MerchantAccount": &v1alpha1.MerchantAccount{}, "Secret": &corev1.Secret{},
			}[meta.Kind]
			g.Expect(object).NotTo(BeNil(), "%s: kind %q", file, meta.Kind)
			g.Expect(yaml.UnmarshalStrict(document, object)).To(Succeed(), file)
			if meta.Kind == "Refund" {
				end := refund.Annotations[annotationEnd]
				g.Expect(end).To(BeElementOf("Succeeded", "ManualActionRequired"))
				ends["refund "+end]++
			}
			if meta.Kind == "Payment" {
				end := v1alpha1.Phase(payment.Annotations[annotationEnd])
				g.Expect(end.Terminal()).To(BeTrue(), "%s: %s ends as %q", file, payment.Name, end)
				ends[payment.Spec.Provider+" "+string(end)]++
			}
		}
	}
	g.Expect(ends).To(Equal(map[string]int{
		"mtn Succeeded": 2, "mtn Failed": 1, "mtn Expired": 1,
		"orange Succeeded": 2, "orange Failed": 1, "orange Expired": 1,
		"wave Succeeded": 2, "wave Expired": 2,
		"refund Succeeded": 2, "refund ManualActionRequired": 1,
	}))
}

func TestParse(t *testing.T) {
	g := NewWithT(t)
	o, err := parse(nil, os.Stderr)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(o).To(Equal(options{speed: 25, timeout: 90 * time.Second}))
	o, err = parse([]string{"-run"}, os.Stderr)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(o.speed).To(Equal(1.0))
	o, err = parse([]string{"-run", "-payer", "manual", "-ready-file", "f"}, os.Stderr)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(o).To(Equal(options{stay: true, speed: 1, timeout: 90 * time.Second, byHand: true, readyFile: "f"}))
	for flag, complaint := range map[string]string{
		"run": "unexpected", "-payer=manual": "need -run", "-ready-file=f": "need -run", "-payer=nobody": "auto or manual",
	} {
		_, err = parse([]string{flag}, os.Stderr)
		g.Expect(err).To(MatchError(ContainSubstring(complaint)), flag)
	}
}
