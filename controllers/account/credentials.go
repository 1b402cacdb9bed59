package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// detail is the part of a provider error that is written for people.
func detail(err error) string {
	if e := providers.AsError(err); e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}

// maxCredential is how long a key of a Secret may be, in bytes; those of providers have less than a hundredth of that.
const maxCredential = 16 << 10

// MaxCallbackSecrets is how many secrets may verify the callbacks of an account: old and new ones
// while they are replaced. Each costs whoever receives a callback a MAC over its whole body.
const MaxCallbackSecrets = 4

// Client returns the provider client of a, with its credentials as they were within the last minute. The same
// credentials at the same endpoint share one client. There is none for an endpoint that is not trusted any more.
func (r *Resolver) Client(ctx context.Context, a *Account) (*Client, error) {
	credentials, err := r.recentCredentials(ctx, a, a.Kind.CredentialKeys)
	if err != nil {
		return nil, err
	}
	if missing := missingKeys(a.Kind.CredentialKeys, credentials); len(missing) > 0 {
		return nil, a.problem(v1alpha1.ReasonCredentialsIncomplete,
			"%s lacks %s. Add what is missing.", a.credentialSource(), strings.Join(a.credentialNames(missing), ", "))
	}
	return r.client(a, false, only(a.collectionKeys(), credentials))
}

// RefundClient returns the client that gives back what a collected. It is
// another one than Client's where refunds take other credentials.
func (r *Resolver) RefundClient(ctx context.Context, a *Account) (*Client, error) {
	if len(a.Kind.RefundCredentialKeys) == 0 {
		return r.Client(ctx, a)
	}
	required := slices.Concat(a.Kind.CredentialKeys, a.Kind.RefundCredentialKeys)
	credentials, err := r.recentCredentials(ctx, a, required)
	if err != nil {
		return nil, err
	}
	if missing := missingKeys(required, credentials); len(missing) > 0 {
		p := a.problem(v1alpha1.ReasonRefundNotConfigured,
			"%s lacks %s, which refunds take. Add what is missing; the operator continues automatically.",
			a.credentialSource(), strings.Join(a.credentialNames(missing), ", "))
		if a.Pin.Kind == KindCluster { // whose condition Ready is about collecting
			p.Message = DisplayName(a.Pin) + " lacks the credentials that refunds take. Ask the platform team to add them; the operator continues automatically."
		}
		return nil, p
	}
	return r.client(a, true, only(slices.Concat(a.collectionKeys(), a.Kind.RefundCredentialKeys), credentials))
}

// collectionKeys are those that a client for collecting is built with.
func (a *Account) collectionKeys() []string {
	return slices.Concat(a.Kind.CredentialKeys, a.Kind.OptionalCredentialKeys)
}

// client of an account, for a purpose. What else the Secret holds, such as what
// verifies callbacks, makes no other client.
func (r *Resolver) client(a *Account, refunds bool, credentials map[string]providers.Secret) (*Client, error) {
	c, err := r.Clients.get(a, refunds, credentials)
	if err != nil {
		return nil, a.misconfigured(err)
	}
	return c, nil
}

// LastKnown returns the client with which the provider was asked last about c, or about a refund of it, if this process
// still has it: for one last question when the account, its Secret or their namespace is gone.
func (r *Resolver) LastKnown(c *v1alpha1.Charge, refund bool) (*Client, bool) {
	kind, ok := r.Registry[c.Spec.Provider]
	if !ok || r.Untrusted(&Account{Pin: c.Spec.Account, Provider: c.Spec.Provider, Kind: kind}) != nil {
		return nil, false
	}
	return r.Clients.lastKnown(c.Spec.Account, c.Spec.Provider, refund && len(kind.RefundCredentialKeys) > 0)
}

// ClientToAsk returns the client to ask with about c, or about a refund of it: that of a, else the
// one with which this process asked last. Where the account is gone, a is nil and gone says why.
func (r *Resolver) ClientToAsk(ctx context.Context, a *Account, gone *Problem, c *v1alpha1.Charge, refund bool) (*Client, error) {
	if a == nil && gone == nil {
		gone = problem(v1alpha1.ReasonAccountNotFound, "there is no account to ask with")
	}
	var err error = gone
	if a != nil {
		var found *Client
		if found, err = r.clientFor(ctx, a, refund); err == nil {
			return found, nil
		}
	}
	var p *Problem
	if c != nil && errors.As(err, &p) {
		if last, ok := r.LastKnown(c, refund); ok {
			return last, nil
		}
	}
	return nil, err
}

func (r *Resolver) clientFor(ctx context.Context, a *Account, refund bool) (*Client, error) {
	if refund {
		return r.RefundClient(ctx, a)
	}
	return r.Client(ctx, a)
}

// CallbackSecrets returns what verifies the provider's callbacks for a: every
// line of every callback key, empty ones left out.
func (r *Resolver) CallbackSecrets(ctx context.Context, a *Account) ([]providers.Secret, error) {
	credentials, err := r.credentials(ctx, a)
	if err != nil {
		return nil, err
	}
	return callbackSecrets(a.Kind.CallbackSecretKeys, credentials), nil
}

func callbackSecrets(keys []string, credentials map[string]providers.Secret) []providers.Secret {
	var secrets []providers.Secret
	for _, key := range keys {
		for line := range strings.Lines(credentials[key].Reveal()) {
			if s := strings.TrimSpace(line); s != "" {
				secrets = append(secrets, providers.Secret(s))
			}
		}
	}
	return secrets
}

// ForCallbacks returns the account that a callback path names.
func (r *Resolver) ForCallbacks(ctx context.Context, provider, kindName, namespace, name string) (*Account, error) {
	kind, ok := r.Registry[provider]
	if !ok {
		return nil, problem(v1alpha1.ReasonProviderNotSupported, "This operator does not know the provider.")
	}
	pin := v1alpha1.AccountPin{Kind: kindName, Namespace: namespace, Name: name}
	charge := &v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{
		Provider: provider,
		Account:  pin,
		Payment:  v1alpha1.PaymentIdentity{Namespace: namespace},
	}}
	acct, err := r.pinned(ctx, charge)
	if err != nil {
		return nil, err
	}
	acct.Kind = kind
	return acct, nil
}

// recentCredentials are those of the last minute, unless the provider refused them since or
// one that is required is missing.
func (r *Resolver) recentCredentials(ctx context.Context, a *Account, required []string) (map[string]providers.Secret, error) {
	if p := r.Untrusted(a); p != nil {
		return nil, p
	}
	key, now := a.secretKey(), r.Clients.now()
	if recent, ok := r.Clients.secrets.get(key, now); ok && a.Pin.Kind != KindOperator && len(missingKeys(required, recent)) == 0 {
		return recent, nil
	}
	credentials, err := r.credentials(ctx, a)
	if err == nil && a.Pin.Kind != KindOperator {
		r.Clients.secrets.put(key, credentials, now)
	}
	return credentials, err
}

func (a *Account) secretKey() secretKey { return secretKey{a.uid, a.secret} }

// credentials of an account, those that verify callbacks included.
func (r *Resolver) credentials(ctx context.Context, a *Account) (map[string]providers.Secret, error) {
	credentials, err := r.readCredentials(ctx, a)
	if err != nil {
		return nil, err
	}
	if keys := a.Kind.CallbackSecretKeys; len(callbackSecrets(keys, credentials)) > MaxCallbackSecrets {
		return nil, a.problem(v1alpha1.ReasonAccountMisconfigured,
			"%s has more than %d secrets in %s. Leave those that the provider signs with, one a line.",
			a.credentialSource(), MaxCallbackSecrets, strings.Join(a.credentialNames(keys), ", "))
	}
	return credentials, nil
}

func (r *Resolver) readCredentials(ctx context.Context, a *Account) (map[string]providers.Secret, error) {
	if a.Pin.Kind == KindOperator {
		return a.literal, nil
	}
	var s corev1.Secret
	switch err := r.Live.Get(ctx, a.secret, &s); {
	case err == nil:
	case apierrors.IsNotFound(err):
		return nil, a.problem(v1alpha1.ReasonCredentialsNotFound,
			"%s does not exist. Create it with the keys %s.", a.credentialSource(), strings.Join(a.Kind.CredentialKeys, ", "))
	case apierrors.IsForbidden(err):
		return nil, a.problem(v1alpha1.ReasonAccountMisconfigured,
			"The operator may not read %s. Bind the ClusterRole mobile-money-secret-reader to it there, with a RoleBinding.", a.credentialSource())
	default:
		return nil, fmt.Errorf("reading the Secret of account %s: %w", DisplayName(a.Pin), err)
	}
	return a.readSecret(&s)
}

// readSecret takes the provider's keys, and nothing else, out of a Secret that is meant for it. A Secret that
// Kubernetes or another program uses is never sent to a provider, whoever names it. No message quotes what is in one.
func (a *Account) readSecret(s *corev1.Secret) (map[string]providers.Secret, error) {
	if s.Type != "" && s.Type != corev1.SecretTypeOpaque && s.Type != v1alpha1.SecretTypeCredentials {
		return nil, a.problem(v1alpha1.ReasonAccountMisconfigured,
			"%s is of a type that is not for credentials of a provider. Name one of type %s or %s.",
			a.credentialSource(), corev1.SecretTypeOpaque, v1alpha1.SecretTypeCredentials)
	}
	out := map[string]providers.Secret{}
	for _, k := range slices.Concat(a.collectionKeys(), a.Kind.RefundCredentialKeys, a.Kind.CallbackSecretKeys) {
		// A Secret made with `echo` or an editor often ends in a newline, which is never part of a credential.
		v := strings.TrimRight(string(s.Data[k]), "\r\n")
		if len(v) > maxCredential {
			return nil, a.problem(v1alpha1.ReasonAccountMisconfigured,
				"%s has a %s of more than %d bytes, which is no credential. Correct it.", a.credentialSource(), k, maxCredential)
		}
		if v != "" {
			out[k] = providers.Secret(v)
		}
	}
	return out, nil
}

// only those of the keys that have a value: a key that an account does without
// must not change the hash of its credentials.
func only(keys []string, have map[string]providers.Secret) map[string]providers.Secret {
	out := make(map[string]providers.Secret, len(keys))
	for _, k := range keys {
		if have[k] != "" {
			out[k] = have[k]
		}
	}
	return out
}

func missingKeys(keys []string, have map[string]providers.Secret) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return have[k] != "" })
}

func (a *Account) credentialSource() string {
	switch a.Pin.Kind {
	case KindOperator:
		return "The operator's environment"
	case KindCluster:
		return fmt.Sprintf("Secret %q in the operator's namespace", a.secret.Name)
	default:
		return fmt.Sprintf("Secret %q in this namespace", a.secret.Name)
	}
}

// credentialNames are the names under which the user knows the keys.
func (a *Account) credentialNames(keys []string) []string {
	if a.Pin.Kind != KindOperator {
		return keys
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = environmentName(a.Provider, k)
	}
	return names
}

// Untrusted is why nothing may be sent to the endpoints of a: no credentials, no question, no request; nil: it may. It
// is asked before every call, since the operator may have stopped to trust a host that payments were made at.
func (r *Resolver) Untrusted(a *Account) *Problem {
	allowed := r.AllowedEndpoints
	if op, ok := r.Operator[a.Provider]; ok && a.Pin.Kind == KindOperator {
		// Who set the environment variables says what is trusted.
		allowed = slices.Concat(allowed, endpoints(op.Pin.BaseURL), endpoints(op.Pin.TokenURL))
	}
	return cmp.Or(a.checkEndpoint(a.Pin.BaseURL, allowed), a.checkEndpoint(a.Pin.TokenURL, allowed))
}

// endpoints is the host[:port] of a URL.
func endpoints(raw string) []string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return []string{u.Host}
	}
	return nil
}

// checkEndpoint: credentials go to the provider itself, and to the hosts that the operator was told to trust.
func (a *Account) checkEndpoint(raw string, allowed []string) *Problem {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return a.misconfigured(&providers.Error{Detail: "baseURL must be a URL, and tokenURL if it is set"})
	}
	if slices.Contains(allowed, u.Host) || isOwnHost(u, a.Kind.Hosts) {
		return nil
	}
	return a.problem(v1alpha1.ReasonEndpointNotAllowed,
		"The operator sends nothing to host %q, and asks nothing there. Have it started with --allowed-endpoints=%s, or leave baseURL and tokenURL out.",
		u.Host, u.Host)
}

// isOwnHost tells whether u is https at the default port of one of the provider's own hosts.
func isOwnHost(u *url.URL, own []string) bool {
	return u.Scheme == "https" && (u.Port() == "" || u.Port() == "443") && slices.Contains(own, u.Hostname())
}

const (
	// keepSecret is how long the credentials of an account are used without reading its Secret.
	keepSecret = time.Minute
	// current are credentials that were read that lately: to read them again changes nothing.
	current = time.Second
	// maxSecrets bounds how many are kept.
	maxSecrets = 4096
)

// secretKey names the Secret that an account object uses. One that is made again under its name is another one.
type secretKey struct {
	account types.UID
	secret  types.NamespacedName
}

// secrets are the credentials that were read from Secrets in the last minute. The zero value is ready.
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
