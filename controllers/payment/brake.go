package payment

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/charge"
	"mobilemoney.dev/operator/providers"
)

// The brake: the right to create Payments is not the right to ring strangers'
// phones. Each Charge at a provider that rings a phone is one prompt, and prompts
// are counted within a namespace: what a neighbour does neither holds up nor tells
// anything about one's own payers.

// promptWindow that prompts are counted in. The indexes are cut into pieces of it.
const promptWindow = time.Hour

// prompt is one time that a phone rang, or may have.
type prompt struct {
	namespace, payer string
	at               time.Time
}

// brake remembers what this process let pass and its cache may not show yet. The
// Charges themselves are the lasting count, which a restart does not clear.
type brake struct {
	mu     sync.Mutex
	passed map[string]prompt // by the name of the Charge
}

// keepPassed is how long a Charge may take to come into the cache.
const keepPassed = time.Minute

// heldUntil is when the limit allows one more, given when the earlier ones were; it
// is not after now if that is at once.
func heldUntil(now time.Time, limit int, at []time.Time) time.Time {
	recent := slices.DeleteFunc(slices.Clone(at), func(t time.Time) bool { return now.Sub(t) >= promptWindow })
	if len(recent) < limit {
		return now
	}
	slices.SortFunc(recent, time.Time.Compare)
	return recent[len(recent)-limit].Add(promptWindow)
}

// Whether the brake is only looked at, or what it lets pass counts from then on.
type braking bool

const (
	look braking = false
	take braking = true
)

// hold returns a *account.Problem, and has o wait, if the payer may not be prompted
// now.
func (r *Reconciler) hold(ctx context.Context, o *observed, acct *account.Account, b braking) error {
	if acct.Kind.Traits.Flow != providers.FlowPush || charge.Restored(o.holder) || r.Settings.InForce(r.WentBack).AdoptOnly {
		return nil
	}
	next := prompt{namespace: o.holder.Namespace, payer: r.Installation.Payer(o.holder.Spec.Phone), at: r.Now()}
	limits := r.Settings.Prompts.or(acct.Prompts)

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
		if wait := heldUntil(next.at, l.limit, earlier).Sub(next.at); wait > 0 {
			o.wait = wait
			return &account.Problem{Reason: v1alpha1.ReasonPromptsLimited, Message: fmt.Sprintf(l.message, l.limit) + message(v1alpha1.ReasonPromptsLimited, "")}
		}
	}
	if b == take {
		r.brake.pass(o.name, next)
	}
	return nil
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

// promptedAt is when the phone rang last, or when it was decided that it shall; false
// if it did not, and will not.
func promptedAt(c *v1alpha1.Charge) (time.Time, bool) {
	rec := &c.Record
	switch {
	case c.Spec.Payer == "":
		return time.Time{}, false
	case rec.LastSend != nil:
		return rec.LastSend.At.Time, true
	case rec.Outcome != nil, rec.Notice != nil && rec.Notice.Reason == v1alpha1.ReasonAdoptOnly:
		return time.Time{}, false
	default:
		return c.CreationTimestamp.Time, true
	}
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
