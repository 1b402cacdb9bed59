package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/providers"
)

// errNotWanted says that the object which wanted a send wants it no more.
var errNotWanted = errors.New("the Payment does not want it any more")

// send asks the provider for money, after everything that can fail without asking.
func (r *Reconciler) send(ctx context.Context, v view) (view, error) {
	first := v.charge == nil || v.relation == relationVacant || !attempt.MayHaveArrived(&v.charge.Record.Attempt)
	var intent *v1alpha1.Charge
	if first && v.account != nil {
		var problem *attempt.Problem
		if intent, problem = r.intent(v); problem != nil {
			v.problem, v.settled = problem, v1alpha1.PhaseFailed
			return v, nil
		}
	}
	c, ready, v, err := r.prepare(ctx, v, first)
	if !ready || err != nil {
		v.seen = r.Protocol.NotReady(v.key.String(), v.wait, v.problem, err)
		return v, err
	}
	defer c.Release(r.caller(v, account.ToSend))
	charge := v.charge
	if charge == nil || v.relation == relationVacant {
		charge = v.inPlace(intent)
	}
	fenced := v.payment
	sent, answer, err := r.Protocol.Send(ctx, attempt.Sending{
		Where:       attempt.Payment,
		Charge:      charge,
		Credentials: r.Installation.Credentials(c.Credentials),
		Rules:       attempt.CollectionRules(r.traits(v)),
		Known:       r.facts(v).Consent,
		Fence: func(ctx context.Context, c *v1alpha1.Charge) error {
			var err error
			fenced, err = r.fence(ctx, v.payment, c)
			return err
		},
		Call: func(ctx context.Context, charge *v1alpha1.Charge) (providers.Initiation, error) {
			in, err := c.Initiate(account.WithCaller(ctx, r.caller(v, account.ToSend)), r.initiateRequest(v, charge))
			r.Metrics.Called(charge.Spec.Provider, providers.OpInitiate, err)
			return in, err
		},
	})
	v.payment = fenced
	if sent.ResourceVersion != "" && !errors.Is(err, attempt.ErrNotRaised) {
		v.charge, v.relation = sent, relate(v.payment, sent, r.Installation, asMade(sent), r.Settings.AdoptionWindow)
	}
	if answer == nil {
		v.seen = r.Protocol.Unsent(v.key.String(), err)
		return v, err
	}
	return r.answered(ctx, v, c, answer, err)
}

// prepare does what can fail without asking for money: credentials, the limits, an access token, the look for sessions
// where references are not deduplicated, and what the API server says now of the account. It tells whether to go on.
func (r *Reconciler) prepare(ctx context.Context, v view, first bool) (*account.Client, bool, view, error) {
	if v.account == nil {
		v.wait = r.Settings.RetryMax
		return nil, false, v, nil
	}
	c, err := r.Accounts.Client(ctx, v.account)
	if err != nil {
		v, err = r.failed(ctx, v, nil, err)
		return nil, false, v, err
	}
	if v.wait = c.Paused(); v.wait > 0 {
		return nil, false, v, nil
	}
	if first {
		if v = r.checkFirst(ctx, v, c); v.problem != nil {
			return nil, false, v, nil //nolint:nilerr // It is the user's to read, not ours to try again.
		}
		// Whoever is limited takes part in no other queue.
		if v, err = r.promptLimit(ctx, v, r.Prompts.Check); v.problem != nil || err != nil {
			return nil, false, v, err
		}
	} else if !attempt.SentWith(&v.charge.Record.Attempt, r.Installation.Credentials(c.Credentials)) {
		v.seen, v.wait = r.Protocol.OtherCredentials(v.key.String()), r.Settings.RetryMax
		return nil, false, v, nil
	}
	who := r.caller(v, account.ToSend)
	if v.wait = c.Reserve(who); v.wait > 0 {
		return nil, false, v, nil
	}
	ready, v, err := r.makeReady(account.WithCaller(ctx, who), v, c, first)
	if !ready || err != nil {
		c.Release(who)
		return nil, false, v, err
	}
	return c, true, v, nil
}

// makeReady does what prepare has to ask for.
func (r *Reconciler) makeReady(ctx context.Context, v view, c *account.Client, first bool) (bool, view, error) {
	callCtx, cancel := context.WithTimeout(ctx, r.Settings.CallTimeout)
	defer cancel()
	if p, ok := c.Provider.(providers.Preparer); ok {
		err := p.Prepare(callCtx)
		r.Metrics.Called(v.provider(), providers.OpToken, err)
		if err != nil {
			v, err = r.failed(ctx, v, c, err)
			return false, v, err
		}
	}
	if c.Traits().Recovery == providers.RecoverBySearch {
		clear, searched, err := r.searchBefore(callCtx, v, c)
		if !clear || err != nil {
			return false, searched, err
		}
	}
	if first {
		guarded, err := r.lastGuards(ctx, v)
		return guarded.problem == nil && err == nil, guarded, err
	}
	return true, v, nil
}

// checkFirst adds to v what keeps a first request from being sent through the account, as far as
// that is known without asking anybody.
func (r *Reconciler) checkFirst(ctx context.Context, v view, c *account.Client) view {
	if v.problem = v.account.Closed; v.problem != nil {
		return v
	}
	if err := r.URLs.Check(v.account, v.payment); errors.As(err, &v.problem) {
		return v
	}
	switch err := c.CheckMoney(v.account, requested(v)); {
	case errors.As(err, &v.problem):
	case err != nil:
		v.problem, v.settled = invalid(err), v1alpha1.PhaseFailed
	default:
		v.problem = r.unsentLimit(ctx, v)
	}
	return v
}

// requested is the money that the Payment asks for through its account.
func requested(v view) providers.Money {
	spec := &v.payment.Spec
	return providers.Money{Amount: spec.Amount.Canonical(), Currency: cmp.Or(spec.Currency, v.account.Currency)}
}

// invalid: the payment can never be requested as written.
func invalid(err error) *attempt.Problem {
	return &attempt.Problem{
		Reason:  v1alpha1.ReasonInvalidRequest,
		Message: strings.TrimSuffix(reasons.OfPayments().Of(v1alpha1.ReasonInvalidRequest, ""), ".") + ": " + providers.AsError(err).Detail + ".",
	}
}

// lastGuards are those of a first request that have to be the last: what the API server says now of
// the account, and the prompt limit, which counts what it lets pass.
func (r *Reconciler) lastGuards(ctx context.Context, v view) (view, error) {
	sale := &v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{Payment: v1alpha1.PaymentIdentity{Namespace: v.key.Namespace, Name: v.key.Name}}}
	var err error
	if v.problem, err = r.Accounts.ClosedNow(ctx, v.account, sale); v.problem != nil || err != nil {
		return v, err
	}
	return r.promptLimit(ctx, v, r.Prompts.Admit)
}

type promptLimiter func(context.Context, client.Reader, string, promptlimit.Prompt, promptlimit.Limits) (*promptlimit.Exceeded, error)

// promptLimit adds to v that the phone may not ring now, if ask says so.
func (r *Reconciler) promptLimit(ctx context.Context, v view, ask promptLimiter) (view, error) {
	if v.account.Kind.Traits.Flow != providers.FlowPush {
		return v, nil
	}
	prompt := promptlimit.Prompt{Namespace: v.key.Namespace, Payer: r.Installation.Payer(v.payment.Spec.Phone), At: r.Now()}
	name := r.Installation.ChargeName(v.key.Namespace, v.key.Name)
	exceeded, err := ask(ctx, r.Client, name, prompt, r.Settings.Prompts.Or(v.account.Prompts))
	if exceeded == nil || err != nil {
		return v, err
	}
	v.wait, v.limited = exceeded.Wait, true
	v.problem = &attempt.Problem{Reason: v1alpha1.ReasonPromptsLimited, Message: exceeded.Message + "The operator continues automatically when the limit allows."}
	return v, nil
}

// unsentLimit bounds the Charges of a namespace of which nothing was sent.
func (r *Reconciler) unsentLimit(ctx context.Context, v view) *attempt.Problem {
	if v.charge != nil && v.relation != relationVacant {
		return nil
	}
	unsent, err := attempt.UnsentCharges(ctx, r.Client, v.key.Namespace)
	if err != nil || unsent < r.Settings.UnsentCharges {
		return nil //nolint:nilerr // A cache that cannot be read limits nobody.
	}
	return &attempt.Problem{Reason: v1alpha1.ReasonUnsentChargesLimited, Message: reasons.OfPayments().Of(v1alpha1.ReasonUnsentChargesLimited, "")}
}

// client to ask with, unless it may not be called now: that of the account, else the
// one that this process asked with last.
func (r *Reconciler) client(ctx context.Context, v view) (*account.Client, view, error) {
	c, err := r.Accounts.ClientToAsk(ctx, v.account, v.problem, v.charge, false)
	if err != nil {
		v, err = r.failed(ctx, v, nil, err)
		return nil, v, err
	}
	if v.wait = c.Paused(); v.wait > 0 {
		return nil, v, nil
	}
	return c, v, nil
}

// fence writes the Payment that wants the send, under its uid and resourceVersion. The write always changes it: whoever
// ends the Payment meanwhile loses. What comes back is the version that the send stands on.
func (r *Reconciler) fence(ctx context.Context, p *v1alpha1.Payment, c *v1alpha1.Charge) (*v1alpha1.Payment, error) {
	relation := relate(p, c, r.Installation, asMade(c), r.Settings.AdoptionWindow)
	if !relation.holds() || p.DeletionTimestamp != nil || p.Spec.Cancel || p.Status.Phase.Terminal() {
		return p, errNotWanted
	}
	next := p.DeepCopy()
	next.Status = r.project(projection{payment: p, charge: c, relation: relation, fencing: true})
	if err := r.Client.Status().Update(ctx, next); err != nil {
		return p, fmt.Errorf("writing Payment %s/%s: %w", p.Namespace, p.Name, err)
	}
	return next, nil
}

// answered does what is left to do after an answer was recorded.
func (r *Reconciler) answered(ctx context.Context, v view, c *account.Client, a *attempt.Answer, recordErr error) (view, error) {
	v.seen = r.Protocol.Heard(ctx, v.key.String(), c.Heed, providers.OpInitiate, a)
	if a.Err != nil || recordErr != nil {
		return v, recordErr
	}
	if s := v.charge.Record.Session; s != nil && a.Initiation.ID != "" && s.ID != a.Initiation.ID {
		// Another session is published. Nobody has this one's URL, and it is ended.
		return v, r.end(ctx, v, c, a.Initiation.ID)
	}
	return v, nil
}

func (r *Reconciler) initiateRequest(v view, c *v1alpha1.Charge) providers.InitiateRequest {
	p, spec := v.payment, &c.Spec
	return providers.InitiateRequest{
		Reference:         spec.ProviderReference,
		MerchantReference: spec.MerchantReference,
		Money:             providers.Money(spec.Money),
		Payer:             providers.Phone(p.Spec.Phone),
		Description:       p.Spec.Description,
		CorrelationTag:    installation.CorrelationTag(c),
		CallbackURL:       r.URLs.Callback(v.account, c),
		ReturnURL:         r.URLs.Return(v.account, p),
		CancelURL:         r.URLs.Cancel(v.account, p),
	}
}

// intent is the Charge that the Payment asks for through the account: everything in
// it follows from the declaration, the account and the installation. A problem says
// that this payment can never be asked for; the Charge does to ask about it.
func (r *Reconciler) intent(v view) (*v1alpha1.Charge, *attempt.Problem) {
	p, acct, inst := v.payment, v.account, r.Installation
	requested := requested(v)
	environment := acct.Pin.Environment
	var problem *attempt.Problem
	wire, err := acct.WireMoney(requested)
	if err != nil {
		wire, problem = requested, invalid(err)
	}
	payer := ""
	if acct.Kind.Traits.Flow == providers.FlowPush {
		payer = inst.Payer(p.Spec.Phone)
	}
	timeout := time.Duration(p.Spec.TimeoutSeconds) * time.Second
	name := inst.ChargeName(p.Namespace, p.Name)
	return &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.ChargeSpec{
			InstallationID:    inst.ID,
			ReferenceVersion:  installation.ReferenceVersion,
			Payment:           v1alpha1.PaymentIdentity{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID)},
			MerchantReference: p.MerchantReference(),
			Provider:          p.Spec.Provider,
			Account:           acct.Pin,
			Requested:         v1alpha1.Money(requested),
			Money:             v1alpha1.Money(wire),
			Fingerprint:       inst.Fingerprint(p, requested.Currency),
			Payer:             payer,
			ProviderReference: acct.Kind.Reference(inst.ReferenceDigest(p.Spec.Provider, environment, p.Namespace, p.Name)),
			CallbackID:        r.callbackID(acct, name),
			TimeoutSeconds:    int32(cmp.Or(timeout, acct.Timeout, account.DefaultTimeout) / time.Second),
		},
	}, problem
}

// callbackID names a Charge in the URL of its callbacks; empty: they come to one of the account.
func (r *Reconciler) callbackID(acct *account.Account, charge string) string {
	if len(acct.Kind.CallbackSecretKeys) > 0 {
		return ""
	}
	return r.URLs.Paths.ID(acct.Provider, charge)
}

func (v view) provider() string {
	if v.charge != nil {
		return v.charge.Spec.Provider
	}
	return v.payment.Spec.Provider
}
