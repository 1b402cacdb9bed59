package simulator

import "time"

var sandboxPayers = map[string]Scenario{
	"46733123450": {Payer: Fails, Reason: internalError},
	"46733123451": {Payer: Fails, Reason: approvalRejected},
	"46733123452": {Payer: Fails, Reason: "EXPIRED"},
	"46733123453": {Payer: Fails, After: lateTime, Reason: "EXPIRED", ShownAfter: someTime},
	"46733123454": {Payer: Pays, After: 25 * time.Second, Delayed: true},
	"46733123455": {Payer: Fails, Reason: payerNotFound},
	"46733123456": {Payer: Fails, Reason: "PAYEE_NOT_ALLOWED_TO_RECEIVE"},
	"46733123457": {Payer: Fails, Reason: notAllowed},
	"46733123458": {Payer: Fails, Reason: "NOT_ALLOWED_TARGET_ENVIRONMENT"},
	"46733123459": {Payer: Fails, Reason: "INVALID_CALLBACK_URL_HOST"},
	"46733123460": {Payer: Fails, Reason: "INVALID_CURRENCY"},
	"46733123461": {Payer: Fails, Reason: internalError},
	"46733123462": {Payer: Fails, Reason: "SERVICE_UNAVAILABLE"},
	"46733123463": {Payer: Fails, Reason: couldNotPerform},
	"46733123464": {Payer: Fails, Reason: "TRANSFER_TYPE_UNKNOWN"},
}

// sandboxRefunds are the values of referenceIdToRefund that MTN publishes.
var sandboxRefunds = map[string]Scenario{
	"1":  {Payer: Fails, Reason: "TRANSACTION_NOT_FOUND"},
	"2":  {Payer: Fails, Reason: internalError},
	"3":  {Payer: Fails, Reason: approvalRejected},
	"4":  {Payer: Fails, Reason: "EXPIRED"},
	"5":  {Payer: Fails, After: lateTime, Reason: "EXPIRED", ShownAfter: someTime},
	"6":  {Payer: Pays, After: 25 * time.Second, Delayed: true},
	"7":  {Payer: Fails, Reason: notAllowed},
	"8":  {Payer: Fails, Reason: "NOT_ALLOWED_TARGET_ENVIRONMENT"},
	"9":  {Payer: Fails, Reason: "INVALID_CALLBACK_URL_HOST"},
	"10": {Payer: Fails, Reason: "INVALID_CURRENCY"},
	"11": {Payer: Fails, Reason: internalError},
	"12": {Payer: Fails, Reason: "SERVICE_UNAVAILABLE"},
	"13": {Payer: Fails, Reason: couldNotPerform},
}

func (s *Simulator) inSandbox() bool { return s.opts.MTN.TargetEnvironment == "sandbox" }

// published finds the outcome that MTN publishes for a request in its sandbox.
func (s *Simulator) published(c *call) (Scenario, bool) {
	if c.provider != MTN || !s.inSandbox() {
		return Scenario{}, false
	}
	name, refusable := "sandbox number "+c.phone, c.phone >= "46733123455"
	sc, ok := sandboxPayers[c.phone]
	if c.op == OpRefund {
		name, refusable = "sandbox refund of "+c.of, len(c.of) > 1 || c.of >= "7"
		sc, ok = sandboxRefunds[c.of]
	}
	sc.Name = name
	if s.opts.MTN.RefuseAtPost && refusable {
		sc.RefusedWith = sc.Reason
	}
	return sc, ok
}
