package payment

import (
	"context"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

// always gives the same answer, and a token to who asks for one.
type always providers.Answer

func (a always) Do(_ context.Context, c providers.Call) (providers.Answer, error) {
	if c.Operation == "token" {
		return providers.Answer{Status: 200, Body: []byte(`{"access_token":"t","expires_in":3600}`)}, nil
	}
	return providers.Answer(a), nil
}

// claims are what an answer says of a payment, in the words of one provider, read
// without the code under test. What is not echoed is empty.
type claims struct{ words, amount, currency, reference string }

// saidBy reads the claims; the body of Orange has no money, which the question has.
func saidBy(provider string, body []byte, asked v1alpha1.Money) claims {
	object := map[string]any{}
	_ = json.Unmarshal(body, &object)
	said := func(key string) string {
		for k, v := range object {
			if text, ok := v.(string); ok && strings.EqualFold(k, key) {
				return text
			}
		}
		return ""
	}
	switch provider {
	case "mtn":
		return claims{said("status"), said("amount"), said("currency"), said("externalId")}
	case "orange":
		return claims{said("status"), asked.Amount, asked.Currency, said("order_id")}
	default:
		return claims{said("checkout_status") + " " + said("payment_status"), said("amount"), said("currency"), said("client_reference")}
	}
}

func (c claims) paid(spec *v1alpha1.ChargeSpec) bool {
	want, ok := new(big.Rat).SetString(spec.Money.Amount)
	amount, okToo := new(big.Rat).SetString(c.amount)
	return ok && okToo && want.Cmp(amount) == 0 && c.currency == spec.Money.Currency &&
		(c.reference == "" || c.reference == spec.ProviderReference) &&
		(c.words == "SUCCESSFUL" || c.words == "SUCCESS" || c.words == "complete succeeded")
}

// Whatever a provider answers to the question how a payment stands: the Charge says
// Succeeded only if the answer says that this amount, in this currency, was paid for
// this reference; and what it once said, it says for ever.
func FuzzOutcome(f *testing.F) {
	const (
		mtnPaid    = `{"status":"SUCCESSFUL","amount":"5000.00","currency":"XOF","externalId":"ref-1","financialTransactionId":"1"}`
		orangePaid = `{"status":"SUCCESS","order_id":"ref-1","txnid":"MP150709.1341.A00073"}`
		wavePaid   = `{"id":"cos-1","checkout_status":"complete","payment_status":"succeeded","amount":"5000","currency":"XOF","client_reference":"ref-1","transaction_id":"T"}`
	)
	for i, paid := range []string{mtnPaid, orangePaid, wavePaid} {
		for _, swap := range []string{"", "ref-1|ref-2", "ref-1|ref 1", "5000|500", "5000|5e3", `"5000|"05000`, "XOF|XAF", "XOF|xof", "SUCCESS|FAILED", "SUCCESSFUL|PENDING", "complete|open", "succeeded|cancelled", "status|Status", `"ref-1"|null`} {
			from, to, _ := strings.Cut(swap, "|")
			f.Add(uint8(i), []byte(strings.ReplaceAll(paid, from, to)), "Succeeded", "5000", "XOF", "ref-1", i == 0)
		}
	}
	for _, state := range []string{"NotStarted", "Pending", "Succeeded", "Failed", "Expired", "Cancelled", "", "succeeded"} {
		f.Add(uint8(0), []byte(`{}`), state, "5000.0", "XOF", "", false)
		f.Add(uint8(1), []byte("MP1\n\u202e\xff"+strings.Repeat("é", 200)), state, "5000", "XOF", "ref-1", true)
		f.Add(uint8(2), []byte(``), state, "4999", "XOF", "ref-1\n", false)
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte, state, amount, currency, reference string, isOver bool) {
		provider := []string{"mtn", "orange", "wave"}[int(which)%3]
		c := &v1alpha1.Charge{Spec: askedFor}
		c.Record.Session = &v1alpha1.ChargeSession{ID: "cos-1", Token: "token"}
		if isOver {
			c.Record.Outcome = &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseExpired, Reason: v1alpha1.ReasonPayerTimeout, At: micro(0)}
		}
		if st, err := ask(t, provider, handleOf(c), body); err == nil {
			checkFold(t, c.DeepCopy(), st, saidBy(provider, body, c.Spec.Money))
		} else if st != (providers.Status{}) {
			t.Fatalf("%v, and %+v", err, st)
		}
		// And whatever a client of whichever provider may make of an answer.
		st := providers.Status{
			State: providers.State(state), Code: amount, Money: providers.Money{Amount: amount, Currency: currency},
			Reference: reference, TransactionID: string(body), Unrecognized: isOver,
		}
		said := claims{amount: amount, currency: currency, reference: reference}
		if state == "Succeeded" {
			said.words = "SUCCESS"
		}
		checkFold(t, c, st, said)
	})
}

// ask a provider that answers with this body how the payment stands.
func ask(t *testing.T, provider string, h providers.Handle, body []byte) (providers.Status, error) {
	t.Helper()
	kind := map[string]providers.Kind{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()}[provider]
	a := providers.Account{Environment: providers.Production, TargetEnvironment: "mtnivorycoast", Country: "ci", Credentials: map[string]providers.Secret{}}
	for _, key := range kind.CredentialKeys {
		a.Credentials[key] = "key"
	}
	p, err := kind.New(a, always{Status: 200, Body: body}, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	return p.Status(t.Context(), h)
}

func checkFold(t *testing.T, c *v1alpha1.Charge, st providers.Status, said claims) {
	t.Helper()
	before := c.DeepCopy()
	foldStatus(st, noon)(c)
	news := c.Record.Outcome
	if before.Record.Outcome != nil {
		news = c.Record.Contradiction
		if !equal(before.Record.Outcome, c.Record.Outcome) {
			t.Fatalf("%+v became %+v", before.Record.Outcome, c.Record.Outcome)
		}
	}
	if isPaid := news != nil && news.Phase == v1alpha1.PhaseSucceeded && news != otherMoneyOf(c); isPaid && !said.paid(&c.Spec) {
		t.Fatalf("%+v for %+v was recorded as %+v", said, c.Spec, news)
	}
	if news != nil {
		checkNews(t, st, news)
	}
	held := c.Record.Hold != nil && c.Record.Hold.Reason == v1alpha1.ReasonAmountMismatch
	if want := before.Record.Outcome == nil && st.State == providers.StateSucceeded && news == nil; held != want {
		t.Fatalf("%+v: hold %+v", said, c.Record.Hold)
	}
	if !equal(before.Spec, c.Spec) || !equal(before.Record.Session, c.Record.Session) || foldStatus(st, noon)(c) {
		t.Fatalf("%+v is not recorded once: %+v", st, c)
	}
}

// otherMoneyOf is the contradiction of c, if it is that other money was paid.
func otherMoneyOf(c *v1alpha1.Charge) *v1alpha1.ChargeOutcome {
	if late := c.Record.Contradiction; late != nil && late.Reason == v1alpha1.ReasonAmountMismatch && late.Paid == nil {
		return late
	}
	return nil
}

// checkNews: an outcome is one of the ends, of the state that was told, and shows
// nothing that a terminal would obey.
func checkNews(t *testing.T, st providers.Status, o *v1alpha1.ChargeOutcome) {
	t.Helper()
	if !st.State.Final() || string(o.Phase) != string(st.State) || o.Reason == "" {
		t.Fatalf("%+v became %+v", st, o)
	}
	id := o.TransactionID
	if len(id) > 255 || !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }) || attempt.Clip(id) != id {
		t.Fatalf("%q is kept of %q", id, st.TransactionID)
	}
	if o.Paid != nil && (o.Phase != v1alpha1.PhaseSucceeded || o.Paid.Currency != askedFor.Money.Currency) {
		t.Fatalf("%+v was paid", o)
	}
}
