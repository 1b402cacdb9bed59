package payment

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/providers"
)

// claimable returns a *account.Problem, and has o wait, where a Charge would only
// wait for the prompt limit. What is never sent but only looked up needs no prompt.
func (r *Reconciler) claimable(ctx context.Context, o *observed, acct *account.Account) error {
	if attempt.Restored(o.holder) || r.Settings.InForce(r.WentBack).AdoptOnly {
		return nil
	}
	return r.limitPrompt(ctx, o, acct, r.promptLimit.Check)
}

// promptLimited tells whether a first request has to wait for the prompt limit, and has
// the Charge say so. One that may have arrived has rung already.
func (r *Reconciler) promptLimited(ctx context.Context, o *observed) (bool, error) {
	if openSends(&o.charge.Record) > 0 {
		return false, nil
	}
	var p *account.Problem
	err := r.limitPrompt(ctx, o, o.account, r.promptLimit.Admit)
	if errors.As(err, &p) {
		return true, r.record(ctx, o, foldNotice(v1alpha1.ChargeNotice{Reason: p.Reason, Message: p.Message}, r.Now()))
	}
	return false, err
}

type askLimiter func(context.Context, client.Reader, string, promptlimit.Prompt, promptlimit.Limits) (*promptlimit.Exceeded, error)

// limitPrompt returns a *account.Problem, and has o wait, if the payer may not be
// prompted now. ask is Check or Admit of the limiter.
func (r *Reconciler) limitPrompt(ctx context.Context, o *observed, acct *account.Account, ask askLimiter) error {
	if acct.Kind.Traits.Flow != providers.FlowPush {
		return nil
	}
	next := promptlimit.Prompt{Namespace: o.holder.Namespace, Payer: r.Installation.Payer(o.holder.Spec.Phone), At: r.Now()}
	exceeded, err := ask(ctx, r.Client, o.name, next, r.Settings.Prompts.Or(acct.Prompts))
	if err != nil || exceeded == nil {
		return err
	}
	o.wait, o.promptLimited = exceeded.Wait, true
	return &account.Problem{
		Reason:  v1alpha1.ReasonPromptsLimited,
		Message: exceeded.Message + message(v1alpha1.ReasonPromptsLimited, ""),
	}
}
