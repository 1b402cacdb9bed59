package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// The brake: the right to create Payments is not the right to ring strangers'
// phones. Each Charge that is sent to a provider that rings a phone is one prompt,
// and prompts are counted within a namespace: what a neighbour does neither holds up
// nor tells anything about one's own payers.

// promptWindow that prompts are counted in. The indexes are cut into pieces of it.
const promptWindow = time.Hour

// prompt is one time that a phone rang, or may have.
type prompt struct {
	namespace, payer string
	at               time.Time
}

// brake remembers what this process let pass and its cache may not show yet, and who
// waits. The Charges themselves are the lasting count, which a restart does not clear.
type brake struct {
	mu     sync.Mutex
	passed map[string]prompt // by the name of the Charge
	lines  lines
}

// keepPassed is how long a send may take to come into the cache.
const keepPassed = time.Minute

// turn is when the limit allows one more to who has a place in the line, given when
// the earlier prompts were; it is not after now if that is at once. Each has a turn of
// its own, so that they do not all come for the same one; far back in the line, they
// come to see whether it has moved.
func turn(now time.Time, limit, place int, at []time.Time) time.Time {
	recent := slices.DeleteFunc(slices.Clone(at), func(t time.Time) bool { return now.Sub(t) >= promptWindow })
	switch {
	case len(recent) < limit:
		return now
	case place >= limit:
		return now.Add(promptWindow)
	}
	slices.SortFunc(recent, time.Time.Compare)
	return recent[len(recent)-limit+place].Add(promptWindow)
}

// Whether the brake is only looked at, or what it lets pass counts from then on.
type braking bool

const (
	look braking = false
	take braking = true
)

// claimable returns a *account.Problem, and has o wait, where a Charge would only
// wait for the brake. What is never sent but only looked up needs no brake.
func (r *Reconciler) claimable(ctx context.Context, o *observed, acct *account.Account) error {
	if attempt.Restored(o.holder) || r.Settings.InForce(r.WentBack).AdoptOnly {
		return nil
	}
	return r.hold(ctx, o, acct, look)
}

// held tells whether a first request has to wait for the brake, and has the Charge
// say so. One that may have arrived has rung already.
func (r *Reconciler) held(ctx context.Context, o *observed) (bool, error) {
	if openSends(&o.charge.Record) > 0 {
		return false, nil
	}
	var p *account.Problem
	err := r.hold(ctx, o, o.account, take)
	if errors.As(err, &p) {
		return true, r.record(ctx, o, foldNotice(v1alpha1.ChargeNotice{Reason: p.Reason, Message: p.Message}, r.Now()))
	}
	return false, err
}

// hold returns a *account.Problem, and has o wait, if the payer may not be prompted
// now.
func (r *Reconciler) hold(ctx context.Context, o *observed, acct *account.Account, b braking) error {
	if acct.Kind.Traits.Flow != providers.FlowPush {
		return nil
	}
	next := prompt{namespace: o.holder.Namespace, payer: r.Installation.Payer(o.holder.Spec.Phone), at: r.Now()}
	limits := r.Settings.Prompts.Or(acct.Prompts)

	r.brake.mu.Lock()
	defer r.brake.mu.Unlock()
	for _, l := range []struct {
		index, value string
		limit        int
		like         func(prompt) bool
		message      string
	}{
		{IndexPromptPayer, next.namespace + "/" + next.payer, limits.PerPhone,
			func(p prompt) bool { return p.namespace == next.namespace && p.payer == next.payer },
			"This phone was rung %d times, the account's prompts.perPhone. "},
		{IndexPromptNamespace, next.namespace, limits.PerNamespace,
			func(p prompt) bool { return p.namespace == next.namespace },
			"The Payments of this namespace rang %d times, the account's prompts.perNamespace. "},
	} {
		earlier, err := r.prompts(ctx, o.name, l.index, l.value, next.at, l.like)
		if err != nil {
			return err
		}
		if turn(next.at, l.limit, 0, earlier).After(next.at) {
			o.wait = turn(next.at, l.limit, r.brake.lines.place(o.name, l.value), earlier).Sub(next.at)
			o.braked = true
			return &account.Problem{Reason: v1alpha1.ReasonPromptsLimited, Message: fmt.Sprintf(l.message, l.limit) + message(v1alpha1.ReasonPromptsLimited, "")}
		}
	}
	r.brake.lines.leave(o.name)
	if b == take {
		r.brake.pass(o.name, next)
	}
	return nil
}

// gone: a Charge waits for nothing any more.
func (b *brake) gone(charge string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines.leave(charge)
}

// lines are who waits for each limit, in the order in which they came. They only say
// when to look again: who is missed, or stays on for nothing, costs others an hour.
type lines struct {
	of     map[string]string // the value that a Charge waits for
	values map[string]*line
}

type line struct {
	tickets    map[string]int
	next, left int
}

// place of a Charge in the line for a value, from 0; it joins the end.
func (l *lines) place(charge, value string) int {
	if l.of[charge] != value {
		l.leave(charge)
		l.join(charge, value)
	}
	at := l.values[value]
	return max(0, at.tickets[charge]-at.left)
}

func (l *lines) join(charge, value string) {
	if l.of == nil {
		l.of, l.values = map[string]string{}, map[string]*line{}
	}
	if l.values[value] == nil {
		l.values[value] = &line{tickets: map[string]int{}}
	}
	at := l.values[value]
	at.tickets[charge] = at.next
	at.next++
	l.of[charge] = value
}

func (l *lines) leave(charge string) {
	value, waits := l.of[charge]
	if !waits {
		return
	}
	delete(l.of, charge)
	at := l.values[value]
	delete(at.tickets, charge)
	at.left++
	if len(at.tickets) == 0 {
		delete(l.values, value)
	}
}

func (b *brake) pass(charge string, p prompt) {
	if b.passed == nil {
		b.passed = map[string]prompt{}
	}
	for name, old := range b.passed {
		if p.at.Sub(old.at) > keepPassed {
			delete(b.passed, name)
		}
	}
	b.passed[charge] = p
}

// prompts are when payers were asked, but for the Charge of that name: by the
// Charges in the cache, and by what was let pass since.
func (r *Reconciler) prompts(ctx context.Context, own, index, value string, now time.Time, like func(prompt) bool) ([]time.Time, error) {
	at := map[string]time.Time{}
	for name, p := range r.brake.passed {
		if like(p) {
			at[name] = p.at
		}
	}
	for _, hour := range []time.Time{now.Add(-promptWindow), now} {
		var list v1alpha1.ChargeList
		err := r.Client.List(ctx, &list, client.MatchingFields{index: promptKey(value, hour)}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return nil, fmt.Errorf("counting prompts: %w", err)
		}
		for i := range list.Items {
			if t, ok := promptedAt(&list.Items[i]); ok {
				at[list.Items[i].Name] = t
			}
		}
	}
	delete(at, own)
	out := make([]time.Time, 0, len(at))
	for _, t := range at {
		out = append(out, t)
	}
	return out, nil
}

// promptKey is that of an index: whose prompts, and in which hour, so that however
// many Charges are kept only those of two hours are looked at.
func promptKey(value string, at time.Time) string {
	return value + "@" + at.UTC().Truncate(promptWindow).Format(time.RFC3339)
}

// promptedAt is when a phone rang last, or may have; false if none did.
func promptedAt(c *v1alpha1.Charge) (time.Time, bool) {
	last := c.Record.LastSend
	if c.Spec.Payer == "" || last == nil {
		return time.Time{}, false
	}
	return last.At.Time, true
}

// promptedPayer and promptedNamespace are the values of the indexes.
func promptedPayer(o client.Object) []string {
	c := o.(*v1alpha1.Charge)
	return promptKeys(c, c.Spec.Payment.Namespace+"/"+c.Spec.Payer)
}

func promptedNamespace(o client.Object) []string {
	c := o.(*v1alpha1.Charge)
	return promptKeys(c, c.Spec.Payment.Namespace)
}

func promptKeys(c *v1alpha1.Charge, value string) []string {
	at, ok := promptedAt(c)
	if !ok {
		return nil
	}
	return []string{promptKey(value, at)}
}
