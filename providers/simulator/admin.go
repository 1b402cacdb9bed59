package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// adminRoutes let another process program the simulator and read its books.
// They are open to who can reach the listener: keep it on loopback.
func (s *Simulator) adminRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /admin/behaviour", s.adminScript)
	mux.HandleFunc("DELETE /admin/behaviour", func(http.ResponseWriter, *http.Request) { s.ClearScripts() })
	reads := map[string]func() any{
		"journal":   func() any { return s.Journal() },
		"ledger":    func() any { return s.Ledger() },
		"sessions":  func() any { return s.Sessions() },
		"callbacks": func() any { return s.Callbacks() },
		"behaviour": func() any { return s.firings() },
		"magic":     func() any { return magicNames() },
		"faults":    func() any { return Faults() },
	}
	for name, read := range reads {
		mux.HandleFunc("GET /admin/"+name, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, read()) })
	}
	acts := map[string]func(string) error{"pay": s.Pay, "refuse": s.Refuse, "open": s.Open}
	for name, act := range acts {
		mux.HandleFunc("POST /admin/"+name, func(w http.ResponseWriter, r *http.Request) {
			if err := act(r.FormValue("ref")); err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
			}
		})
	}
	mux.HandleFunc("POST /admin/approve", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Approve()) })
	mux.HandleFunc("POST /admin/expire-tokens", func(http.ResponseWriter, *http.Request) { s.ExpireTokens() })
	mux.HandleFunc("POST /admin/revoke-tokens", func(http.ResponseWriter, *http.Request) { s.RevokeTokens() })
	mux.HandleFunc("POST /admin/keys", s.adminKeys(s.AddKeys))
	mux.HandleFunc("DELETE /admin/keys", s.adminKeys(s.RevokeKeys))
	mux.HandleFunc("POST /admin/tick", func(http.ResponseWriter, *http.Request) { s.Tick() })
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// adminBehaviour is a Match and a Behaviour as JSON.
type adminBehaviour struct {
	Match
	Behaviour
	Late    duration `json:"late"`
	Delay   duration `json:"delay"`
	Dribble duration `json:"dribble"`
}

func (a adminBehaviour) behaviour() Behaviour {
	b := a.Behaviour
	b.Late, b.Delay, b.Dribble = time.Duration(a.Late), time.Duration(a.Delay), time.Duration(a.Dribble)
	return b
}

// duration is written as "25s".
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

func (s *Simulator) adminScript(w http.ResponseWriter, r *http.Request) {
	var a adminBehaviour
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err == nil {
		err = decode(body, &a, true)
	}
	if _, known := faultByName()[a.Fault]; err == nil && a.Fault != "" && !known {
		err = fmt.Errorf("there is no fault %q: see GET /admin/faults", a.Fault)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.Script(a.Match, a.behaviour())
	w.WriteHeader(http.StatusCreated)
}

// firing tells how often a rule has fired.
type firing struct {
	Match
	Name  string `json:"name"`
	Fired int    `json:"fired"`
}

func (s *Simulator) firings() []firing {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]firing, 0, len(s.rules))
	for _, r := range s.rules {
		all = append(all, firing{r.match, r.behaviour.Name, r.fired})
	}
	return all
}

func magicNames() map[string]string {
	names := map[string]string{}
	for _, m := range MagicTable() {
		names[m.Code] = m.Name
	}
	return names
}

// Keys are a merchant's credentials at a provider. MTN, for Collections: the API user, its key and the subscription
// key. Orange: client id, client secret and merchant key. Wave: the API key as Key.
type Keys struct {
	ID, Secret, Key string
}

func (o Options) keys() map[Provider][]Keys {
	return map[Provider][]Keys{
		MTN:    {{DefaultMTNUser, DefaultMTNKey, DefaultMTNSubscriptionKey}},
		Orange: {{DefaultOrangeClientID, DefaultOrangeClientSecret, DefaultOrangeMerchantKey}},
		Wave:   {{Key: o.Wave.APIKey}},
	}
}

// AddKeys gives the merchant credentials besides those that it has.
func (s *Simulator) AddKeys(p Provider, k Keys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[p] = append(s.keys[p], k)
}

// RevokeKeys takes credentials back, and the access tokens that were given out.
func (s *Simulator) RevokeKeys(p Provider, k Keys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[p] = slices.DeleteFunc(s.keys[p], func(have Keys) bool { return have == k })
	clear(s.tokens)
}

// has tells whether the merchant has such credentials now; the caller holds the lock.
func (s *Simulator) has(p Provider, such func(Keys) bool) bool {
	return slices.ContainsFunc(s.keys[p], such)
}

func (s *Simulator) adminKeys(change func(Provider, Keys)) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		change(Provider(r.FormValue("provider")), Keys{r.FormValue("id"), r.FormValue("secret"), r.FormValue("key")})
	}
}
