package payment

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

// ask finds out how the request stands.
func (r *Reconciler) ask(ctx context.Context, v view) (view, error) {
	c, v, err := r.client(ctx, v)
	if c == nil || err != nil {
		return v, err
	}
	who := r.caller(v, account.Scheduled)
	if v.wait = c.Reserve(who); v.wait > 0 {
		return v, nil
	}
	defer c.Release(who)
	ctx, cancel := context.WithTimeout(account.WithCaller(context.WithoutCancel(ctx), who), r.Settings.CallTimeout)
	defer cancel()
	v = r.asking(v, who)
	if c.Traits().Recovery == providers.RecoverBySearch && (v.charge == nil || v.charge.Record.Session == nil) {
		return r.search(ctx, v, c)
	}
	return r.status(ctx, v, c)
}

// asking notes when the question begins, and whether a callback asked for it.
func (r *Reconciler) asking(v view, who account.Caller) view {
	v.asked = r.Now()
	if who.Purpose == account.AfterCallback {
		v.seen = r.Protocol.Remember(v.key.String(), func(o *attempt.Observation) { o.ForCallback = v.asked })
	}
	return v
}

// status asks by the reference, or by what the session needs.
func (r *Reconciler) status(ctx context.Context, v view, c *account.Client) (view, error) {
	handle := handleOf(r.asked(v))
	st, err := c.Status(ctx, handle)
	r.Metrics.Called(v.provider(), providers.OpStatus, err)
	switch {
	case err != nil && providers.ClassOf(err) == providers.ClassNotFound:
		return r.notFound(v, c), nil
	case err != nil:
		return r.failed(ctx, v, c, err)
	}
	c.Heed(providers.OpStatus, nil)
	if c.Traits().Recovery == providers.RecoverBySearch && st.State.Final() && st.State != providers.StateSucceeded {
		var settled bool
		if st, settled, v, err = r.others(ctx, v, c, st); err != nil || !settled {
			return v, err
		}
	}
	return r.learn(ctx, v, st, nil)
}

// asked is the Charge that is asked about: the one there is, else the one that the Payment would have.
func (r *Reconciler) asked(v view) *v1alpha1.Charge {
	if v.charge != nil && v.relation != relationVacant {
		return v.charge
	}
	c, _ := r.intent(v)
	return c
}

// notFound: the provider does not know the reference. What these credentials do not
// know, those that it was sent with may.
func (r *Reconciler) notFound(v view, c *account.Client) view {
	same := v.charge == nil || v.relation == relationVacant || attempt.SentWith(&v.charge.Record.Attempt, r.Installation.Credentials(c.Credentials))
	v.seen = r.Protocol.Answered(v.key.String(), v.asked, "", same)
	return v
}

// learn remembers and records the provider's answer to a question of ours. Where there is no record, it is made first.
func (r *Reconciler) learn(ctx context.Context, v view, st providers.Status, session *v1alpha1.Session) (view, error) {
	if st.Unrecognized {
		r.Metrics.unmapped.WithLabelValues(v.provider()).Inc()
	}
	v.seen = r.Protocol.Answered(v.key.String(), v.asked, st.State, false)
	if v.charge == nil || v.relation == relationVacant {
		var err error
		if v, err = r.recreate(ctx, v); err != nil || v.charge == nil {
			return v, err
		}
	}
	fold := attempt.FoldStatus(st, r.expected(v), r.Now())
	return r.change(ctx, v, func(c *v1alpha1.Charge) bool {
		changed := fold(&c.Record.Attempt)
		if session != nil && c.Record.Session == nil && c.Record.Taken != nil && c.Record.Outcome == nil {
			c.Record.Session, changed = session, true
		}
		return changed
	})
}

// expected is what an answer has to be about.
func (r *Reconciler) expected(v view) attempt.Expected {
	handle := handleOf(v.charge)
	return attempt.Expected{
		Money:     v.charge.Spec.Money,
		Ours:      func(st providers.Status) bool { return st.About(handle) },
		Tag:       installation.CorrelationTag(v.charge),
		Consent:   r.facts(v).Consent,
		Paid:      v1alpha1.ReasonPaid,
		CalledOff: v.relation.holds() && v.payment.Spec.Cancel && r.traits(v).CanCancel,
	}
}

// search adopts what is open or paid under our reference. Surplus sessions are ended before one is recorded, so that at
// most one can ever be paid. What is over was never published, and is in nobody's way.
func (r *Reconciler) search(ctx context.Context, v view, c *account.Client) (view, error) {
	found, v, err := r.find(ctx, v, c)
	if err != nil || found == nil {
		return v, err
	}
	switch surplus := slices.Concat(found.surplus, found.foreign); {
	case len(surplus) > 0:
		// One of them may have been paid meanwhile: look again before choosing.
		return r.endAll(ctx, v, c, surplus)
	case found.best == nil || rank(*found.best) == over:
		return r.notFound(v, c), nil
	default:
		return r.learn(ctx, v, *found.best.Status, attempt.SessionOf(*found.best))
	}
}

// searchBefore looks for sessions before a send. What is open under our reference is an earlier
// life's: it is ended, so that the sale ends by its own session. It tells whether to go on.
func (r *Reconciler) searchBefore(ctx context.Context, v view, c *account.Client) (bool, view, error) {
	v.asked = r.Now()
	if v.charge != nil && v.relation != relationVacant && attempt.MayHaveArrived(&v.charge.Record.Attempt) {
		v, err := r.search(ctx, v, c)
		return err == nil && v.seen.OK() && v.seen.NotFound, v, err
	}
	found, v, err := r.find(ctx, v, c)
	switch {
	case err != nil || found == nil:
		return false, v, err
	case found.best != nil && rank(*found.best) == paid:
		v, err = r.learn(ctx, v, *found.best.Status, attempt.SessionOf(*found.best))
		return false, v, err
	}
	earlier := slices.Concat(found.surplus, found.foreign)
	if found.best != nil && rank(*found.best) == open {
		earlier = append(earlier, *found.best)
	}
	if len(earlier) > 0 {
		v, err = r.endAll(ctx, v, c, earlier)
		return false, v, err
	}
	return true, v, nil
}

// findings of a search.
type findings struct {
	// best of the sessions for this sale's money: a paid one, else an open one.
	best *providers.Session
	// surplus are the other open ones, and foreign the open ones for other money.
	surplus, foreign []providers.Session
}

// find searches for the sessions of the reference; nil, with what there is to tell
// in the view, if that fails. One that was paid with other money is told at once.
func (r *Reconciler) find(ctx context.Context, v view, c *account.Client) (*findings, view, error) {
	asked := r.asked(v)
	sessions, err := c.Provider.(providers.Searcher).Search(ctx, asked.Spec.ProviderReference)
	r.Metrics.Called(v.provider(), providers.OpSearch, err)
	if err != nil {
		v, err = r.failed(ctx, v, c, err)
		return nil, v, err
	}
	found := sort(sessions, asked.Spec.Money)
	if found.best != nil && found.best.Status == nil {
		found.best.Status = &providers.Status{State: providers.StatePending, Money: providers.Money(asked.Spec.Money), Reference: asked.Spec.ProviderReference}
	}
	return found, v, nil
}

// sort picks the session that counts: a paid one, else the first that is open. A
// session for other money counts only once it is paid.
func sort(sessions []providers.Session, money v1alpha1.Money) *findings {
	f := &findings{}
	for i := range sessions {
		s := sessions[i]
		ours := s.Status == nil || providers.EqualAmount(s.Status.Money.Amount, money.Amount) && s.Status.Money.Currency == money.Currency
		switch {
		case !ours && rank(s) == open:
			f.foreign = append(f.foreign, s)
		case !ours && rank(s) == over:
		case f.best == nil:
			f.best = &s
		case rank(s) > rank(*f.best):
			if rank(*f.best) == open {
				f.surplus = append(f.surplus, *f.best)
			}
			f.best = &s
		case rank(s) == open:
			f.surplus = append(f.surplus, s)
		}
	}
	return f
}

// How much a session counts.
const (
	over = iota
	open
	paid
)

func rank(s providers.Session) int {
	switch {
	case s.Status != nil && s.Status.State == providers.StateSucceeded:
		return paid
	case s.Status == nil || !s.Status.State.Final():
		return open
	default:
		return over
	}
}

// others looks at the other sessions of the reference before a negative verdict: all have to be over and unpaid.
func (r *Reconciler) others(ctx context.Context, v view, c *account.Client, st providers.Status) (providers.Status, bool, view, error) {
	found, v, err := r.find(ctx, v, c)
	if err != nil || found == nil {
		return st, false, v, err
	}
	open := slices.Concat(found.surplus, found.foreign)
	switch {
	case found.best == nil:
	case rank(*found.best) == paid:
		return *found.best.Status, true, v, nil
	case rank(*found.best) != over:
		open = append(open, *found.best)
	}
	if len(open) == 0 {
		return st, true, v, nil
	}
	v, err = r.endAll(ctx, v, c, open)
	return st, false, v, err
}

// endAll ends sessions that nobody may pay, and has the next run look again. By a view
// that is behind nothing is ended: another process may have recorded the session since.
func (r *Reconciler) endAll(ctx context.Context, v view, c *account.Client, sessions []providers.Session) (view, error) {
	if err := r.current(ctx, v); err != nil {
		return v, err
	}
	for _, s := range sessions {
		if err := r.end(ctx, v, c, s.ID); err != nil {
			return r.failed(ctx, v, c, err)
		}
	}
	v.seen = r.Protocol.Remember(v.key.String(), func(o *attempt.Observation) {
		o.At, o.NotFound = r.Now(), false
		o.Failures++
	})
	return v, nil
}

// current fails if the Charge, read live, is not the one that v shows.
func (r *Reconciler) current(ctx context.Context, v view) error {
	shown, now := &v1alpha1.Charge{}, &v1alpha1.Charge{}
	if v.charge != nil {
		shown = v.charge
	}
	name := r.Installation.ChargeName(v.key.Namespace, v.key.Name)
	if err := r.Live.Get(ctx, types.NamespacedName{Name: name}, now); err != nil && !attempt.IsGone(err) {
		return fmt.Errorf("reading Charge %s: %w", name, err)
	}
	if now.UID != shown.UID || now.ResourceVersion != shown.ResourceVersion {
		return fmt.Errorf("looking at Charge %s: %w", name, attempt.ErrBehind)
	}
	return nil
}

// endSession ends the session whose time is over, or that was called off. Whether it
// was paid meanwhile is for the next check to find out.
func (r *Reconciler) endSession(ctx context.Context, v view) (view, error) {
	c, v, err := r.client(ctx, v)
	if c == nil || err != nil {
		return v, err
	}
	if s := v.charge.Record.Session; s != nil {
		if err := r.end(ctx, v, c, s.ID); err != nil {
			return r.failed(ctx, v, c, err)
		}
	}
	v.seen = r.Protocol.Remember(v.key.String(), func(o *attempt.Observation) {
		o.EndedAt, o.Failures = r.Now(), 0
	})
	return v, nil
}

// end ends a session that nobody may pay any more. That it is over already is no error.
func (r *Reconciler) end(ctx context.Context, v view, c *account.Client, sessionID string) error {
	canceller, ok := c.Provider.(providers.Canceller)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Settings.CallTimeout)
	defer cancel()
	err := canceller.Cancel(ctx, providers.Handle{SessionID: sessionID})
	r.Metrics.Called(v.provider(), providers.OpCancel, err)
	if err != nil && providers.ClassOf(err) != providers.ClassAlreadyExists {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

func handleOf(c *v1alpha1.Charge) providers.Handle {
	h := providers.Handle{Reference: c.Spec.ProviderReference, MerchantReference: c.Spec.MerchantReference, Money: providers.Money(c.Spec.Money)}
	if s := c.Record.Session; s != nil {
		h.SessionID, h.Token = s.ID, providers.Secret(s.Token)
	}
	return h
}

// caller tells the limiter who calls, and how urgently.
func (r *Reconciler) caller(v view, purpose account.Purpose) account.Caller {
	c := account.Caller{Name: v.key.String(), Namespace: v.key.Namespace, Purpose: purpose}
	if purpose == account.Scheduled && r.facts(v).CalledBack() {
		c.Purpose = account.AfterCallback
	}
	switch {
	case v.charge != nil:
		c.Since = v.charge.CreationTimestamp.Time
	case v.payment != nil:
		c.Since = v.payment.CreationTimestamp.Time
	}
	return c
}

// settled is the outcome that a person found out.
func settled(said v1alpha1.Settlement, asked v1alpha1.Money, now metav1.MicroTime) v1alpha1.Outcome {
	o := v1alpha1.Outcome{
		Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonSettledNotPaid,
		SettledBy: said.SettledBy, Note: said.Reason, TransactionID: said.TransactionID, At: now,
	}
	if said.Outcome == v1alpha1.SettledPaid {
		paid := asked
		if said.Amount != nil {
			paid = v1alpha1.Money{Amount: said.Amount.Canonical(), Currency: said.Currency}
		}
		o.Phase, o.Reason, o.Paid = v1alpha1.PhaseSucceeded, v1alpha1.ReasonSettledPaid, &paid
	}
	return o
}
