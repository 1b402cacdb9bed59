package payment

import (
	"cmp"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
)

// relation says what a Payment is to the Charge of its name.
type relation string

const (
	// relationNone: there is no Charge, or no Payment.
	relationNone relation = ""
	// relationOwn: the Charge was made for this very Payment.
	relationOwn relation = "Own"
	// relationAdopted: it was made before this Payment existed, which adopts it.
	relationAdopted relation = "Adopted"
	// relationVacant: it is for another intent, for which nothing was sent: this Payment's own one takes its place.
	relationVacant relation = "Vacant"
	// relationUnsure: as Vacant, but one of its void sends may have been taken all the same; the provider is asked first.
	relationUnsure relation = "Unsure"
	// relationConflict: it is for other money, or from another payer.
	relationConflict relation = "Conflict"
	// relationReused: it belongs to an earlier sale under an old name.
	relationReused relation = "Reused"
	// relationForeign: another installation id, or a version of the operator that this one does not know, made it.
	relationForeign relation = "Foreign"
	// relationOpen: it cannot be told before the account is known.
	relationOpen relation = "Open"
)

// holds tells whether the Payment shows, and drives, the Charge.
func (r relation) holds() bool { return r == relationOwn || r == relationAdopted }

// relate says what p is to the Charge c of its name. It is the one check of what was read, cached
// or live: namespace, name and fingerprint are this sale's, and what p may adopt was settled when
// it was created. at is the account that p would use.
func relate(p *v1alpha1.Payment, c *v1alpha1.Charge, inst installation.Installation, at chosen, adoptionWindow time.Duration) relation {
	sale := c.Spec.Payment.Namespace == p.Namespace && c.Spec.Payment.Name == p.Name
	known := inst.MadeFingerprint(c.Spec.Fingerprint)
	switch {
	case !sale, c.Spec.InstallationID != inst.ID, c.Spec.ReferenceVersion != installation.ReferenceVersion:
		return relationForeign
	case string(p.UID) == c.Spec.Payment.UID:
		return relationOwn
	case known && !sameIntent(p, c, inst, at.currency):
		if attempt.NothingSent(&c.Record.Attempt) && p.Status.ChargeName == "" {
			return relationVacant
		}
		return relationConflict
	case p.Status.ChargeName == c.Name:
		return relationAdopted
	case !known && !consents(p):
		return relationReused
	case endedTooLongBefore(p, c, adoptionWindow) && !consents(p):
		return relationReused
	case at.environment == "":
		return relationOpen
	case at.environment != c.Spec.Account.Environment && attempt.NothingSent(&c.Record.Attempt):
		return relationVacant
	case at.environment != c.Spec.Account.Environment:
		return relationReused
	default:
		return relationAdopted
	}
}

// chosen is what decides of the account that a Payment would use; empty: that is not known.
type chosen struct{ environment, currency string }

// asMade is the account as it was when the Charge was made.
func asMade(c *v1alpha1.Charge) chosen {
	return chosen{c.Spec.Account.Environment, c.Spec.Requested.Currency}
}

// sameIntent compares the fingerprints. A Payment that names no currency means the account's.
func sameIntent(p *v1alpha1.Payment, c *v1alpha1.Charge, inst installation.Installation, accounts string) bool {
	currency := c.Spec.Requested.Currency
	return cmp.Or(p.Spec.Currency, accounts, currency) == currency && inst.Fingerprint(p, currency) == c.Spec.Fingerprint
}

// endedTooLongBefore: a window of 0 is off, for disaster recovery.
func endedTooLongBefore(p *v1alpha1.Payment, c *v1alpha1.Charge, window time.Duration) bool {
	outcome := c.Record.Outcome
	return window > 0 && outcome != nil && p.CreationTimestamp.Sub(outcome.At.Time) > window
}

// consents tells whether p says, or its restore from a backup shows, that it means the old sale.
func consents(p *v1alpha1.Payment) bool {
	return p.Annotations[v1alpha1.AnnotationAdopt] == "true" || attempt.Restored(p)
}

// settlement is what a person said about the Unknown of that id; nil: nothing. What
// a restore from a backup brought back was said about another record.
func settlement(p *v1alpha1.Payment, id string) *v1alpha1.Settlement {
	if said := p.Spec.Settlement; id != "" && said != nil && said.UnknownID == id && !attempt.Restored(p) {
		return said
	}
	return nil
}
