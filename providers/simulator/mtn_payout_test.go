package simulator

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

type disburser struct {
	b     *bench
	token string
}

func (b *bench) disburser() *disburser { return &disburser{b, b.mtnToken(disbursement)} }

func (d *disburser) call(method, path, body string, header ...string) reply {
	h := []string{"Authorization", "Bearer " + d.token, "X-Target-Environment", "sandbox",
		"Ocp-Apim-Subscription-Key", DefaultMTNDisbursementSubscriptionKey, "Content-Type", "application/json"}
	return d.b.do(method, d.b.sim.MTNURL()+"/disbursement/"+path, body, append(h, header...)...)
}

func (d *disburser) refund(id, of, amount string, header ...string) reply {
	body := fmt.Sprintf(`{"amount":%q,"currency":"EUR","externalId":%q,"payerMessage":"","payeeNote":"","referenceIdToRefund":%q}`, amount, id, of)
	return d.call("POST", "v2_0/refund", body, append([]string{"X-Reference-Id", id}, header...)...)
}

func (d *disburser) status(op Op, id string) reply {
	return d.call("GET", "v1_0/"+string(op)+"/"+id, "")
}

// paid makes a payment of an amount and lets the payer approve it.
func (b *bench) paid(amount string) string {
	ref := b.ref(MTN)
	b.want(b.client(MTN).create(ref, amount), 202)
	b.pass(promptDelay)
	return ref
}

func TestMTNRefund(t *testing.T) {
	b := setUp(t)
	d, of := b.disburser(), b.paid("100")
	first, rest, excess, unknown, unpaid := b.ref(MTN), b.ref(MTN), b.ref(MTN), b.ref(MTN), b.ref(MTN)
	b.want(d.refund("refund_1", of, "30"), 400)
	b.want(d.refund(first, of, "0"), 400)
	b.want(d.refund(first, "", "30"), 400)
	b.want(d.status(OpRefund, first), 404, "RESOURCE_NOT_FOUND")
	b.want(d.refund(first, of, "30.00"), 202)
	b.want(d.refund(first, of, "30.00"), 409, "RESOURCE_ALREADY_EXIST")
	b.want(d.status(OpRefund, first), 200, `"status":"PENDING"`, `"amount":"30"`, `"externalId":"`+first, `"payee":{"partyIdType":"PARTY_CODE"`)
	if got := b.sim.RefundedAmount(of); got != "0" {
		t.Errorf("%s was given back before the refund succeeded", got)
	}
	b.pass(promptDelay)
	b.want(d.status(OpRefund, first), 200, `"SUCCESSFUL"`, `"financialTransactionId"`)

	b.want(d.refund(excess, of, "70.01"), 202)
	b.want(d.refund(unknown, b.ref(MTN), "1"), 202)
	pending := b.ref(MTN)
	b.want(b.client(MTN).create(pending, "907"), 202)
	b.want(d.refund(unpaid, pending, "1"), 202)
	b.pass(promptDelay)
	b.want(d.status(OpRefund, excess), 200, `"FAILED"`, notAllowed)
	b.want(d.status(OpRefund, unknown), 200, `"FAILED"`, "TRANSACTION_NOT_FOUND")
	b.want(d.status(OpRefund, unpaid), 200, `"FAILED"`, notAllowed)
	b.want(d.refund(rest, of, "70"), 202)
	b.pass(promptDelay)

	got := b.sim.Refunds(of)
	if len(got) != 2 || got[0].Refund != first || got[0].Amount != "30.00" || got[1].Refund != rest || b.sim.RefundedAmount(of) != "100" {
		t.Errorf("refunds %+v", got)
	}
	b.want(d.call("GET", "v1_0/refund/"+first, "", "Authorization", "Bearer no"), 401)
	b.want(d.call("POST", "v2_0/refund", "{}", "Authorization", "Bearer no"), 401)
	b.want(d.refund(b.ref(MTN), of, "1", "X-Callback-Url", ""), 400)
}

func TestMTNRefundsAreCapped(t *testing.T) {
	for _, uncapped := range []bool{false, true} {
		b := setUp(t, func(o *Options) { o.MTN.UncappedRefunds = uncapped })
		rapid.Check(t, func(t *rapid.T) {
			d, of, asked := b.disburser(), b.paid("1000"), 0
			for _, amount := range rapid.SliceOfN(rapid.IntRange(1, 600), 1, 6).Draw(t, "amounts") {
				b.want(d.refund(b.ref(MTN), of, fmt.Sprint(amount)), 202)
				if rapid.Bool().Draw(t, "wait") {
					b.pass(promptDelay)
				}
				asked += amount
			}
			b.pass(lateTime)
			back := sum(b.sim.Refunds(of), Refunded)
			switch {
			case uncapped && back.Cmp(number(fmt.Sprint(asked))) != 0:
				t.Fatalf("%s given back of %d", written(back), asked)
			case !uncapped && back.Cmp(number("1000")) > 0, asked <= 1000 && back.Cmp(number(fmt.Sprint(asked))) != 0:
				t.Fatalf("%s given back of %d", written(back), asked)
			}
		})
	}
}

// A user of one product gets a token of the other, and no further.
func TestMTNProductsAreApart(t *testing.T) {
	b := setUp(t)
	crossed := append(basic(DefaultMTNUser, DefaultMTNKey),
		"Ocp-Apim-Subscription-Key", DefaultMTNDisbursementSubscriptionKey, "X-Target-Environment", "sandbox")
	r := b.do("POST", b.sim.MTNURL()+"/disbursement/token/", "", crossed...)
	b.want(r, 200)
	d := &disburser{b, r.json(t)["access_token"].(string)}
	b.want(d.refund(b.ref(MTN), "6", "1"), 500, "NOT_ALLOWED_TARGET_ENVIRONMENT")
	b.want(b.do("POST", b.sim.MTNURL()+"/disbursement/token/", "", mtnBasic(collection)...), 401, "subscription key")
}

// A refund is told of where it asked for that, and a person may decide it.
func TestMTNRefundCallbackAndPerson(t *testing.T) {
	b := setUp(t)
	d, of, id := b.disburser(), b.paid("100"), b.ref(MTN)
	b.want(d.refund(id, of, "909", "X-Callback-Url", b.hook.url+"/refund"), 202)
	b.pass(10 * promptLife)
	b.want(d.status(OpRefund, id), 200, "PENDING")
	if err := b.sim.Refuse(id); err != nil {
		t.Fatal(err)
	}
	b.sim.Tick()
	all := b.hook.all()
	body := all[len(all)-1].json(t)
	if all[len(all)-1].path != "/refund" || body["status"] != "FAILED" || body["payee"] == nil || body["payer"] != nil {
		t.Errorf("callback %s", all[len(all)-1].body)
	}
}
