package simulator

import (
	"net/http"
	"slices"
)

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
