package account

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"mobilemoney.dev/operator/providers"
)

const (
	// keepSecret is how long the credentials of an account are used without reading its Secret.
	keepSecret = time.Minute
	// current are credentials that were read that lately: to read them again changes nothing.
	current = time.Second
	// maxSecrets bounds how many are kept.
	maxSecrets = 4096
)

// secretKey names the Secret that an account object uses. One that is made again under its
// name is another one.
type secretKey struct {
	account types.UID
	secret  types.NamespacedName
}

// secrets are the credentials that were read from Secrets in the last minute. The zero value
// is ready.
type secrets struct {
	mu   sync.Mutex
	read map[secretKey]cached
}

type cached struct {
	credentials map[string]providers.Secret
	at          time.Time
}

func (s *secrets) get(key secretKey, now time.Time) (map[string]providers.Secret, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.read[key]
	if age := now.Sub(r.at); !ok || age < 0 || age >= keepSecret {
		delete(s.read, key)
		return nil, false
	}
	return r.credentials, true
}

func (s *secrets) put(key secretKey, credentials map[string]providers.Secret, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read == nil || len(s.read) >= maxSecrets {
		s.read = map[secretKey]cached{} // they are a minute old at most
	}
	s.read[key] = cached{credentials, now}
}

// forget has a Secret read again. It reports whether that may tell something new.
func (s *secrets) forget(key secretKey, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.read[key]
	delete(s.read, key)
	return ok && now.Sub(r.at) >= current
}
