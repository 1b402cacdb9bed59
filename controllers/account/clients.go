package account

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mobilemoney.dev/operator/providers"
)

// Client is a provider client with the limits of its account.
type Client struct {
	providers.Provider

	// Credentials is a hash of those that the client was built with.
	Credentials [32]byte

	now     func() time.Time
	limiter *rate.Limiter

	mu          sync.Mutex
	pausedUntil time.Time
	turns       map[string]time.Time // of those who were told to wait
}

// turnLasts is how late one may come to one's turn.
const turnLasts = 2 * time.Second

// Reserve asks for leave to make one status call for who. It returns 0 if it may be
// made now, else how long to wait for a turn of its own before asking again: if all
// were told to come back for the next turn, all but one would come for nothing, again
// and again, and some always. A turn that is missed is lost.
func (c *Client) Reserve(who string) time.Duration {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := c.pausedUntil.Sub(now); wait > 0 {
		return wait
	}
	if turn, ok := c.turns[who]; ok {
		if wait := turn.Sub(now); wait > 0 {
			return wait
		}
		delete(c.turns, who)
		if now.Sub(turn) <= turnLasts {
			return 0
		}
	}
	wait := c.limiter.ReserveN(now, 1).DelayFrom(now)
	if wait > 0 {
		maps.DeleteFunc(c.turns, func(_ string, turn time.Time) bool { return now.Sub(turn) > turnLasts })
		c.turns[who] = now.Add(wait)
	}
	return wait
}

// limit the status calls in a second; 0: no limit. Turns that were given stay.
func (c *Client) limit(perSecond float64) {
	limit := rate.Limit(perSecond)
	if perSecond <= 0 {
		limit = rate.Inf
	}
	if c.limiter.Limit() != limit {
		c.limiter.SetLimitAt(c.now(), limit)
	}
}

// Pause stops calls to the account for a while, as the provider asked for.
func (c *Client) Pause(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := c.now().Add(d); until.After(c.pausedUntil) {
		c.pausedUntil = until
		clear(c.turns) // else all that fall into the pause would come at its end
	}
}

// Heed pauses for as long as the provider asked for in an error, if it did. A nil
// Client has nobody to heed.
func (c *Client) Heed(e *providers.Error) {
	if c != nil && e.RetryAfter > 0 {
		c.Pause(e.RetryAfter)
	}
}

// Paused returns how long calls to the account have to wait.
func (c *Client) Paused() time.Duration {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.pausedUntil.Sub(now))
}

// Clients keeps one client for each account at each endpoint, so that access
// tokens and limits are shared. New credentials replace the client; another limit
// does not, so that the access token stays.
type Clients struct {
	transport providers.Transport
	now       func() time.Time

	mu      sync.Mutex
	clients map[string]*Client
}

// NewClients returns an empty set of clients.
func NewClients(transport providers.Transport, now func() time.Time) *Clients {
	return &Clients{transport: transport, now: now, clients: map[string]*Client{}}
}

func (c *Clients) get(identity, provider string, kind providers.Kind, a providers.Account, checksPerSecond float64) (*Client, error) {
	key := fmt.Sprintf("%s|%s|%s|%s|%s|%s|%s|%s", identity, provider, a.Environment, a.BaseURL, a.TokenURL, a.TargetEnvironment, a.Country, a.MerchantName)
	sum := credentialSum(a.Credentials)

	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.clients[key]; ok && have.Credentials == sum {
		have.limit(checksPerSecond)
		return have, nil
	}
	p, err := kind.New(a, c.transport, c.now)
	if err != nil {
		return nil, err
	}
	client := &Client{Provider: p, Credentials: sum, now: c.now, turns: map[string]time.Time{}, limiter: rate.NewLimiter(rate.Inf, 1)}
	client.limit(checksPerSecond)
	c.clients[key] = client
	return client, nil
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
