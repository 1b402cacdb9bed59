package simulator

import "time"

type mtnUser struct {
	product string
	host    string
	key     string
}

// productOf a user: the one whose subscription key created it.
func (s *Simulator) productOf(user string) string {
	switch {
	case s.has(MTN, func(k Keys) bool { return k.ID == user }):
		return collection
	case user == DefaultMTNDisbursementUser:
		return disbursement
	default:
		return s.users[user].product
	}
}

// callbackHost is the one that was registered for the user who asks.
func (s *Simulator) callbackHost(c *call) string {
	name, _ := bearer(c.r)
	if u, provisioned := s.users[s.tokens[name].user]; provisioned {
		return u.host
	}
	return s.opts.MTN.CallbackHost
}

func (s *Simulator) provisionRoutes(handle func(string, wire)) {
	handle("POST /mtn/v1_0/apiuser", wire{provider: MTN, op: OpProvision, handle: s.provision})
	handle("POST /mtn/v1_0/apiuser/{id}/apikey", wire{provider: MTN, op: OpProvision, handle: s.provisionKey})
	handle("GET /mtn/v1_0/apiuser/{id}", wire{provider: MTN, op: OpProvision, handle: s.provisioned})
}

func (s *Simulator) knownUser(user, key string) bool {
	u, ok := s.users[user]
	return s.has(MTN, func(k Keys) bool { return k.ID == user && k.Secret == key }) ||
		user == DefaultMTNDisbursementUser && key == DefaultMTNDisbursementKey || ok && key != "" && key == u.key
}

func (s *Simulator) provision(c *call) answer {
	id := c.r.Header.Get("X-Reference-Id")
	var req struct {
		Host string `json:"providerCallbackHost"`
	}
	_, exists := s.users[id]
	switch {
	case s.subscription(c) == "":
		return wrongSubscription()
	case !uuidV4.MatchString(id) || decode(c.body, &req, false) != nil:
		return empty(400)
	case exists:
		return mtnFailure(409)
	}
	s.users[id] = mtnUser{product: s.subscription(c), host: req.Host}
	return empty(201)
}

func (s *Simulator) provisionKey(c *call) answer {
	id := c.r.PathValue("id")
	u, ok := s.users[id]
	switch {
	case lengthless(c):
		return lengthRequired()
	case s.subscription(c) == "":
		return wrongSubscription()
	case !ok:
		return moMo(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
	}
	u.key = s.text(alphanumeric, 32)
	s.users[id] = u
	return asJSON(201, map[string]string{"apiKey": u.key})
}

func (s *Simulator) provisioned(c *call) answer {
	id := c.r.PathValue("id")
	u, ok := s.users[id]
	switch {
	case s.subscription(c) == "":
		return wrongSubscription()
	case !ok && s.productOf(id) != "":
		u.host = s.opts.MTN.CallbackHost
	case !ok:
		return moMo(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
	}
	return asJSON(200, map[string]string{
		"providerCallbackHost": u.host, "targetEnvironment": s.opts.MTN.TargetEnvironment,
	})
}

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
