package account

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

const (
	// keepClient is how long a client, with its access token, is kept that nobody uses.
	keepClient = time.Hour
	// maxClients and maxLimiters bound how many are kept.
	maxClients = 4096
)

// Client is a provider client of an account. Its calls go through the Limiter that all
// accounts share which the provider counts together.
type Client struct {
	providers.Provider

	// Credentials is a hash of those that the client was built with.
	Credentials [32]byte

	limiter *Limiter
	// money is Account.WireMoney for who knows the credentials.
	money func(providers.Money) (providers.Money, error)
	// told is what the outcomes of calls are for, beside the limiter.
	told func(providers.Operation, error) (again bool)
}

// Reserve reports how long the caller must wait before its next call; 0: one call may leave
// now, with the context of WithCaller.
func (c *Client) Reserve(who Caller) time.Duration { return c.limiter.reserve(who) }

// Release gives back what Reserve kept for who, where no call took it.
func (c *Client) Release(who Caller) { c.limiter.release(who) }

// Paused reports how long the provider asked to be left alone.
func (c *Client) Paused() time.Duration { return c.limiter.pausedFor() }

// Heed takes in how a call ended, err being nil for an answer: calls pause for as long as the provider asked,
// credentials that it refused are read again, and the account's condition tells what is wrong with it. It reports
// whether the call should be made again at once, since the credentials may have changed. A nil Client heeds nothing.
func (c *Client) Heed(op providers.Operation, err error) (again bool) {
	if c == nil {
		return false
	}
	if _, own := LimitedFor(err); err != nil && !own {
		if e := providers.AsError(err); e.RetryAfter > 0 || e.Class == providers.ClassThrottled {
			c.limiter.pause(e.RetryAfter)
		}
	}
	return c.told(op, err)
}

// CheckMoney refuses, with class Rejected, money that is not of the account's country, which
// credentials may tell better than the account does. Ask before the first send. Where it is the
// currency of the account itself, that is a *Problem of the account.
func (c *Client) CheckMoney(a *Account, m providers.Money) error {
	if _, err := c.money(providers.Money{Amount: "1", Currency: a.Currency}); err != nil {
		return a.misconfigured(err)
	}
	_, err := c.money(m)
	return err
}

// Clients keeps one client for each account at each endpoint, so that access tokens are shared, the limiters, and the
// credentials of a minute. New credentials replace the client; another limit does not, so that the access token stays.
type Clients struct {
	transport providers.Transport
	now       func() time.Time
	// Sleep waits, or ends with the context; default by the clock.
	Sleep func(context.Context, time.Duration) error
	// Findings are what calls tell about accounts.
	Findings *Findings

	secrets secrets

	mu         sync.Mutex
	clients    map[clientKey]*kept
	limiters   map[string]*Limiter
	emptyUntil time.Time
	pruned     time.Time
}

// clientKey tells clients apart: those of other accounts, other Secrets, other settings, and those for refunds.
type clientKey struct {
	pin      v1alpha1.AccountPin
	provider string
	secret   secretKey
	settings string
	refunds  bool
}

type kept struct {
	*Client
	used time.Time
	// perSecond is the account's own limit of calls at the limiter; 0: none.
	perSecond int
	limiter   string
}

// NewClients returns an empty set of clients.
func NewClients(transport providers.Transport, now func() time.Time) *Clients {
	return &Clients{transport: transport, now: now, Sleep: sleep, Findings: newFindings(), clients: map[clientKey]*kept{}, limiters: map[string]*Limiter{}}
}

// get the client of an account with credentials, for refunds or payments.
func (c *Clients) get(a *Account, refunds bool, credentials map[string]providers.Secret) (*Client, error) {
	key := clientKey{a.Pin, a.Provider, a.secretKey(), fmt.Sprintf("%+v", a.providerAccount(nil)), refunds}
	sum, now := credentialSum(credentials), c.now()

	c.mu.Lock()
	defer c.mu.Unlock()
	have, ok := c.clients[key]
	if same := ok && have.Credentials == sum; !same {
		var err error
		if have, err = c.build(a, sum, credentials); err != nil {
			return nil, err
		}
		c.clients[key] = have
	}
	have.used, have.perSecond = now, int(a.ChecksPerSecond)
	c.setLimit(have.limiter, int(a.Kind.Traits.StatusPerSecond))
	c.prune(now)
	return have.Client, nil
}

func (c *Clients) build(a *Account, sum [32]byte, credentials map[string]providers.Secret) (*kept, error) {
	full := a.providerAccount(credentials)
	name := a.Kind.LimitKey(full)
	limiter := c.limiters[name]
	if limiter == nil {
		limiter = newLimiter(0, c.now, c.Sleep)
		if wait := c.emptyUntil.Sub(c.now()); wait > 0 {
			limiter.pause(wait)
		}
		c.limiters[name] = limiter
	}
	p, err := a.Kind.New(full, providers.Admitted(c.transport, limiter.admitCall), c.now)
	if err != nil {
		return nil, err
	}
	money := func(m providers.Money) (providers.Money, error) { return a.Kind.WireMoney(full, m) }
	return &kept{limiter: name, Client: &Client{Provider: p, Credentials: sum, limiter: limiter, money: money, told: c.teller(a)}}, nil
}

// teller is what a client tells of its calls.
func (c *Clients) teller(a *Account) func(providers.Operation, error) bool {
	pin, secret := a.Pin, a.secretKey()
	var refused atomic.Bool
	return func(op providers.Operation, err error) bool {
		c.Findings.report(pin, op, err, c.now())
		if err == nil || providers.ClassOf(err) != providers.ClassMisconfigured {
			return false
		}
		// The same credentials are tried again at once a single time.
		return c.secrets.forget(secret, c.now()) && refused.CompareAndSwap(false, true)
	}
}

// setLimit is the least that the provider and the accounts at a limiter allow.
func (c *Clients) setLimit(limiter string, provider int) {
	limit := provider
	for _, k := range c.clients {
		if own := k.perSecond; k.limiter == limiter && own > 0 && (limit == 0 || own < limit) {
			limit = own
		}
	}
	c.limiters[limiter].limit(limit)
}

// prune drops what nobody used for long, at most once a minute, and the oldest of too many.
func (c *Clients) prune(now time.Time) {
	if now.Sub(c.pruned) < time.Minute && len(c.clients) <= maxClients {
		return
	}
	c.pruned = now
	used := map[string]bool{}
	var oldest clientKey
	for key, k := range c.clients {
		if now.Sub(k.used) > keepClient {
			delete(c.clients, key)
			continue
		}
		used[k.limiter] = true
		if o := c.clients[oldest]; o == nil || k.used.Before(o.used) {
			oldest = key
		}
	}
	if len(c.clients) > maxClients {
		delete(c.clients, oldest)
	}
	maps.DeleteFunc(c.limiters, func(name string, l *Limiter) bool { return !used[name] && l.idle() })
}

// StartEmpty lets nothing leave within the next second, as if all that is allowed in a second
// had just left: another process may have led until now.
func (c *Clients) StartEmpty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emptyUntil = c.now().Add(second)
	for _, l := range c.limiters {
		l.pause(second)
	}
}

// lastKnown returns the client that was used last for a pin.
func (c *Clients) lastKnown(pin v1alpha1.AccountPin, provider string, refunds bool) (*Client, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var last *kept
	for key, k := range c.clients {
		if key.pin == pin && key.provider == provider && key.refunds == refunds && (last == nil || k.used.After(last.used)) {
			last = k
		}
	}
	if last == nil {
		return nil, false
	}
	return last.Client, true
}

// credentialSum tells two sets of credentials apart without keeping them.
func credentialSum(credentials map[string]providers.Secret) [32]byte {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(credentials)) {
		v := credentials[k].Reveal()
		fmt.Fprintf(h, "%d:%s%d:%s", len(k), k, len(v), v)
	}
	return [32]byte(h.Sum(nil))
}
