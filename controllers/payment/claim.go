package payment

import (
	"cmp"
	"slices"
	"strings"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
)

// relation says what a Payment is to the Charge of its sale.
type relation string

const (
	// relationOwn: the Charge was made for this very Payment.
	relationOwn relation = "Own"
	// relationAdopted: it was made before this Payment existed, which takes
	// it up.
	relationAdopted relation = "Adopted"
	// relationConflict: it is for other money, or from another payer.
	relationConflict relation = "Conflict"
	// relationDuplicate: another Payment that exists has it.
	relationDuplicate relation = "Duplicate"
	// relationReused: it ended so long before this Payment was created that
	// this is rather a new sale under an old name.
	relationReused relation = "Reused"
)

// holds tells whether the Payment shows, and drives, the Charge.
func (r relation) holds() bool { return r == relationOwn || r == relationAdopted }

// claimant is the Payment, of all those that name one sale, that the Charge
// belongs to: the one that it was made for, else the oldest. One that ended without
// being asked for gives way. Nil if there is none.
func claimant(payments []*v1alpha1.Payment, charge *v1alpha1.Charge) *v1alpha1.Payment {
	if len(payments) == 0 {
		return nil
	}
	return slices.MinFunc(payments, func(a, b *v1alpha1.Payment) int {
		return cmp.Or(
			-compareBool(madeFor(charge, a), madeFor(charge, b)),
			compareBool(gaveWay(a), gaveWay(b)),
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			strings.Compare(a.Name, b.Name),
		)
	})
}

func madeFor(charge *v1alpha1.Charge, p *v1alpha1.Payment) bool {
	return charge != nil && charge.Spec.Payment.Namespace == p.Namespace && charge.Spec.Payment.Name == p.Name
}

// gaveWay: p ended, and nobody was ever asked for it.
func gaveWay(p *v1alpha1.Payment) bool {
	return p.Status.Phase.Terminal() && p.Status.ChargeName == ""
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// relate says what p is to the Charge, given who the claimant is. charge is not
// nil. No clock: what p may take up was settled when it was created.
func relate(p, holder *v1alpha1.Payment, charge *v1alpha1.Charge, inst installation.Installation, adoptionWindow time.Duration) relation {
	switch {
	case !sameMoney(p, charge, inst):
		return relationConflict
	case holder != nil && p.UID != holder.UID:
		return relationDuplicate
	case string(p.UID) == charge.Spec.Payment.UID:
		return relationOwn
	case endedTooLongBefore(p, charge, adoptionWindow) && !consents(p):
		return relationReused
	default:
		return relationAdopted
	}
}

// sameMoney compares the fingerprints. Where the Charge's was made with another
// key, the fields that it shows in clear have to do.
func sameMoney(p *v1alpha1.Payment, charge *v1alpha1.Charge, inst installation.Installation) bool {
	currency := charge.Spec.Requested.Currency
	if p.Spec.Currency != "" && p.Spec.Currency != currency {
		return false
	}
	keyID, _, _ := strings.Cut(charge.Spec.Fingerprint, ":")
	if keyID == inst.KeyID() {
		return inst.Fingerprint(p, currency) == charge.Spec.Fingerprint
	}
	return p.Spec.Provider == charge.Spec.Provider &&
		installation.CanonicalAmount(p.Spec.Amount) == installation.CanonicalAmount(v1alpha1.NewAmount(charge.Spec.Requested.Amount))
}

// endedTooLongBefore: a window of 0 is off, for disaster recovery.
func endedTooLongBefore(p *v1alpha1.Payment, charge *v1alpha1.Charge, window time.Duration) bool {
	outcome := charge.Record.Outcome
	return window > 0 && outcome != nil && p.CreationTimestamp.Sub(outcome.At.Time) > window
}

// consents tells whether p says, or its restore from a backup shows, that it
// means the old sale.
func consents(p *v1alpha1.Payment) bool {
	return p.Annotations[v1alpha1.AnnotationAdopt] == "true" || attempt.Restored(p)
}

// settlement is what a person found out about p. What a restore from a backup
// brought back was said about another record.
func settlement(p *v1alpha1.Payment) *v1alpha1.Settlement {
	if attempt.Restored(p) {
		return nil
	}
	return p.Spec.Settlement
}
