package callback

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	applyv1alpha1 "mobilemoney.dev/operator/api/applyconfiguration/api/v1alpha1"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// FieldManager owns status.lastCallback and nothing else.
const FieldManager = "mobile-money-callback"

var errLater = errors.New("cannot be noted now")

// news is a verified callback about a charge.
type news struct {
	charge *v1alpha1.Charge
	claim  string
	digest string
	at     time.Time
}

// note writes status.lastCallback of the Payments of the charge, unless that would
// tell the loop nothing. Callbacks about one charge that come at the same time are
// one note.
func (r *Receiver) note(ctx context.Context, charge *v1alpha1.Charge, cb providers.Callback, body []byte) (result, error) {
	n := news{charge: charge, claim: cb.Claim, digest: r.Digest(body), at: r.Now()}
	got, err, _ := r.flight.Do(charge.Name, func() (any, error) {
		// It is for all that wait for it: one of them that hangs up does not end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
		defer cancel()
		return r.noteOnce(ctx, n)
	})
	return got.(result), err
}

func (r *Receiver) noteOnce(ctx context.Context, n news) (result, error) {
	if got := r.memory.told(n, r.NoteGap); got != resultNoted {
		return got, nil
	}
	var list v1alpha1.PaymentList
	if err := r.Client.List(ctx, &list, client.MatchingFields{attempt.IndexCharge: n.charge.Name}); err != nil {
		return resultLater, fmt.Errorf("looking the Payment up: %w", err)
	}
	got := resultIgnored
	for i := range list.Items {
		p := &list.Items[i]
		if told := r.toldBy(p, n); told != resultNoted {
			if got != resultNoted {
				got = told
			}
			continue
		}
		if err := r.apply(ctx, p, n); client.IgnoreNotFound(err) != nil {
			return resultLater, fmt.Errorf("%w: %w", errLater, err)
		}
		got = resultNoted
	}
	if got == resultNoted {
		r.memory.note(n)
	}
	return got, nil
}

// toldBy is what the note of a Payment makes of news. One that is paid has nothing
// to learn; one that ended otherwise may be paid late. What is noted already is not
// noted again, whoever noted it.
func (r *Receiver) toldBy(p *v1alpha1.Payment, n news) result {
	last := p.Status.LastCallback
	switch {
	case p.Status.Phase == v1alpha1.PhaseSucceeded:
		return resultIgnored
	case last == nil:
		return resultNoted
	case last.Digest == n.digest && n.coveredBy(last.ReceivedAt.Time):
		return resultRepeated
	case tooSoon(n.at, last.ReceivedAt.Time, r.NoteGap):
		return resultIgnored
	default:
		return resultNoted
	}
}

// coveredBy a note of the same words at a time: after the end of a charge they are
// news once more, for the one that failed and was paid after all.
func (n news) coveredBy(at time.Time) bool {
	end := n.charge.Record.Outcome
	return end == nil || at.After(end.At.Time)
}

// tooSoon: a flood of callbacks is one note, and one question. A clock that was set
// back does not silence them for long.
func tooSoon(now, last time.Time, gap time.Duration) bool { return now.Sub(last).Abs() < gap }

// memory of what this replica noted, for as long as its cache does not show it and
// for repetitions that come in turns.
type memory struct {
	// last note by charge, and notes by charge and digest.
	last, notes *lru.Cache
}

func newMemory() *memory { return &memory{last: lru.New(remembered), notes: lru.New(remembered)} }

type noteKey struct{ charge, digest string }

func (m *memory) told(n news, gap time.Duration) result {
	if at, ok := m.notes.Get(noteKey{n.charge.Name, n.digest}); ok && n.coveredBy(at.(time.Time)) {
		return resultRepeated
	}
	if at, ok := m.last.Get(n.charge.Name); ok && tooSoon(n.at, at.(time.Time), gap) {
		return resultIgnored
	}
	return resultNoted
}

func (m *memory) note(n news) {
	m.notes.Add(noteKey{n.charge.Name, n.digest}, n.at)
	m.last.Add(n.charge.Name, n.at)
}

func (r *Receiver) apply(ctx context.Context, p *v1alpha1.Payment, n news) error {
	return r.Client.Status().Apply(ctx, lastCallback(client.ObjectKeyFromObject(p), n),
		client.FieldOwner(FieldManager), client.ForceOwnership)
}

// lastCallback is what a callback changes on a Payment: nothing but a note. It
// names no uid, because the API server would ignore it in a status: on a Payment
// of the same name that was created since, the note costs one check.
func lastCallback(name types.NamespacedName, n news) *applyv1alpha1.PaymentApplyConfiguration {
	note := applyv1alpha1.CallbackNote().WithReceivedAt(metav1.NewMicroTime(n.at)).WithDigest(n.digest)
	if claim := providers.SafeCode(n.claim); claim != "" {
		note = note.WithClaim(claim)
	}
	return applyv1alpha1.Payment(name.Name, name.Namespace).
		WithStatus(applyv1alpha1.PaymentStatus().WithLastCallback(note))
}

const landingPage = `<!doctype html>
<html lang="fr"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Paiement / Payment</title>
<body style="font-family:sans-serif;max-width:30em;margin:3em auto;padding:0 1em">
<p>Vous pouvez maintenant revenir chez le marchand. Il vous dira si le paiement est arrivé.</p>
<p lang="en">You can go back to the merchant now, who will tell you whether the payment arrived.</p>
`

// land is where a payer comes back to whose merchant named no page. It promises
// nothing about the outcome.
func (r *Receiver) land(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		resultMethod.answer(w)
	case !r.throttle.source(r.Limits.clientOf(req), r.Now()):
		resultLimited.answer(w)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = w.Write([]byte(landingPage))
	}
}
