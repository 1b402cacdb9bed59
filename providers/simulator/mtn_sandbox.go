package simulator

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
