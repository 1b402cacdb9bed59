package simulator

import "time"

// mtnUser is an API user that was provisioned in the sandbox.
type mtnUser struct {
	host string
	key  string
}

func (s *Simulator) provisionRoutes(handle func(string, wire)) {
	handle("POST /mtn/v1_0/apiuser", wire{provider: MTN, op: OpProvision, handle: s.provision})
	handle("POST /mtn/v1_0/apiuser/{id}/apikey", wire{provider: MTN, op: OpProvision, handle: s.provisionKey})
	handle("GET /mtn/v1_0/apiuser/{id}", wire{provider: MTN, op: OpProvision, handle: s.provisioned})
}

func (s *Simulator) knownUser(user, key string) bool {
	o := s.opts.MTN
	u, ok := s.users[user]
	return user == o.APIUser && key == o.APIKey || ok && key != "" && key == u.key
}

func (s *Simulator) provision(c *call) answer {
	id := c.r.Header.Get("X-Reference-Id")
	var req struct {
		Host string `json:"providerCallbackHost"`
	}
	_, exists := s.users[id]
	switch {
	case !s.subscribed(c):
		return wrongSubscription()
	case !uuidV4.MatchString(id) || decode(c.body, &req, false) != nil:
		return empty(400)
	case exists:
		return mtnFailure(409)
	}
	s.users[id] = mtnUser{host: req.Host}
	return empty(201)
}

func (s *Simulator) provisionKey(c *call) answer {
	id := c.r.PathValue("id")
	u, ok := s.users[id]
	switch {
	case !s.subscribed(c):
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
	case !s.subscribed(c):
		return wrongSubscription()
	case !ok && id == s.opts.MTN.APIUser:
		u.host = s.opts.MTN.CallbackHost
	case !ok:
		return moMo(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
	}
	return asJSON(200, map[string]string{
		"providerCallbackHost": u.host, "targetEnvironment": s.opts.MTN.TargetEnvironment,
	})
}

// sandboxNumbers are the payers that MTN publishes for its sandbox.
var sandboxNumbers = map[string]Scenario{
	"46733123450": {Payer: Fails, Reason: "INTERNAL_PROCESSING_ERROR"},
	"46733123451": {Payer: Fails, Reason: approvalRejected},
	"46733123452": {Payer: Fails, Reason: "EXPIRED"},
	"46733123453": {Payer: Fails, After: lateTime, Reason: "EXPIRED", ShownAfter: someTime},
	"46733123454": {Payer: Pays, After: 25 * time.Second, Delayed: true},
	"46733123455": {Payer: Fails, Reason: payerNotFound},
	"46733123456": {Payer: Fails, Reason: "PAYEE_NOT_ALLOWED_TO_RECEIVE"},
	"46733123457": {Payer: Fails, Reason: "NOT_ALLOWED"},
	"46733123458": {Payer: Fails, Reason: "NOT_ALLOWED_TARGET_ENVIRONMENT"},
	"46733123459": {Payer: Fails, Reason: "INVALID_CALLBACK_URL_HOST"},
	"46733123460": {Payer: Fails, Reason: "INVALID_CURRENCY"},
	"46733123461": {Payer: Fails, Reason: "INTERNAL_PROCESSING_ERROR"},
	"46733123462": {Payer: Fails, Reason: "SERVICE_UNAVAILABLE"},
	"46733123463": {Payer: Fails, Reason: couldNotPerform},
	"46733123464": {Payer: Fails, Reason: "TRANSFER_TYPE_UNKNOWN"},
}

func (s *Simulator) sandboxScenario(phone string) (Scenario, bool) {
	sc, ok := sandboxNumbers[phone]
	if !ok || s.opts.MTN.TargetEnvironment != "sandbox" {
		return Scenario{}, false
	}
	sc.Name = "sandbox number " + phone
	if s.opts.MTN.RefuseAtPost && phone >= "46733123455" {
		sc.RefusedWith = sc.Reason
	}
	return sc, true
}
