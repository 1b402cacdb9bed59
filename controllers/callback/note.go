package callback

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	applyv1alpha1 "mobilemoney.dev/operator/api/applyconfiguration/api/v1alpha1"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// FieldManager owns status.lastCallback and nothing else.
const FieldManager = "mobile-money-callback"

var errLater = errors.New("cannot be noted now")

// received is a verified callback about a charge.
type received struct {
	charge *v1alpha1.Charge
	claim  string
	digest string
	at     time.Time
}

// note writes the callback on the Payment that shows the charge, or on the charge where none does,
// unless it adds nothing. Simultaneous callbacks about one charge are one note.
func (r *Receiver) note(ctx context.Context, charge *v1alpha1.Charge, cb providers.Callback, body []byte) (result, error) {
	n := received{charge: charge, claim: cb.Claim, digest: r.Digest(body), at: r.Now()}
	got, err, _ := r.flight.Do(charge.Name, func() (any, error) {
		// All senders share it: one that hangs up does not end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
		defer cancel()
		return r.noteOnce(ctx, n)
	})
	return got.(result), err
}

func (r *Receiver) noteOnce(ctx context.Context, n received) (result, error) {
	if got := r.memory.result(n, r.NoteGap); got != resultNoted {
		return got, nil
	}
	sale := n.charge.Spec.Payment
	var p v1alpha1.Payment
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: sale.Namespace, Name: sale.Name}, &p)
	if client.IgnoreNotFound(err) != nil {
		return resultLater, fmt.Errorf("reading the Payment: %w", err)
	}
	// The cache may not show yet that the Payment holds the charge.
	onPayment := err == nil && (p.Status.ChargeName == n.charge.Name || string(p.UID) == sale.UID)
	last := n.charge.Record.LastCallback
	if onPayment {
		last = p.Status.LastCallback
	}
	if got := r.resultFor(last, n); got != resultNoted {
		return got, nil
	}
	if onPayment {
		err = r.apply(ctx, &p, n)
	}
	if !onPayment || apierrors.IsNotFound(err) {
		err = r.noteOnCharge(ctx, n)
	}
	if err != nil {
		return resultLater, fmt.Errorf("%w: %w", errLater, err)
	}
	r.memory.note(n)
	return resultNoted, nil
}

// noteOnCharge notes a callback where no Payment shows the charge.
func (r *Receiver) noteOnCharge(ctx context.Context, n received) error {
	note := &v1alpha1.CallbackNote{ReceivedAt: metav1.NewMicroTime(n.at), Claim: providers.SafeCode(n.claim), Digest: n.digest}
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var c v1alpha1.Charge
		err := r.Live.Get(ctx, types.NamespacedName{Name: n.charge.Name}, &c)
		if err != nil || c.UID != n.charge.UID {
			return err
		}
		c.Record.LastCallback = note
		return r.Client.Update(ctx, &c)
	})
	return client.IgnoreNotFound(err) // it is about a charge that is gone
}

// resultFor compares a callback with the last note. A charge that the provider said was paid has nothing to learn; one
// that ended otherwise may be paid late. The same words are noted once, by whichever replica.
func (r *Receiver) resultFor(last *v1alpha1.CallbackNote, n received) result {
	end := n.charge.Record.Outcome
	switch {
	case end != nil && end.Phase == v1alpha1.PhaseSucceeded && end.SettledBy == "":
		return resultIgnored
	case last == nil:
		return resultNoted
	case last.Digest == n.digest && n.coveredBy(last.ReceivedAt.Time):
		return resultRepeated
	case tooSoon(n.at, last.ReceivedAt.Time, r.NoteGap) && n.coveredBy(last.ReceivedAt.Time):
		return resultIgnored
	default:
		return resultNoted
	}
}

// coveredBy a note at a time: after the end of a charge there is something new to
// note, even the same words, because one that failed may be paid after all.
func (n received) coveredBy(at time.Time) bool {
	end := n.charge.Record.Outcome
	return end == nil || at.After(end.At.Time)
}

// tooSoon: a flood of callbacks is one note, and one question. A clock that was set
// back suppresses them for a gap at most.
func tooSoon(now, last time.Time, gap time.Duration) bool { return now.Sub(last).Abs() < gap }

// memory of what this replica noted: its cache may not show it yet, and repetitions may alternate.
type memory struct {
	// last note by charge, and notes by charge and digest.
	last, notes *lru.Cache
}

func newMemory() *memory { return &memory{last: lru.New(remembered), notes: lru.New(remembered)} }

type noteKey struct{ charge, digest string }

func (m *memory) result(n received, gap time.Duration) result {
	if at, ok := m.notes.Get(noteKey{n.charge.Name, n.digest}); ok && n.coveredBy(at.(time.Time)) {
		return resultRepeated
	}
	if at, ok := m.last.Get(n.charge.Name); ok && tooSoon(n.at, at.(time.Time), gap) && n.coveredBy(at.(time.Time)) {
		return resultIgnored
	}
	return resultNoted
}

func (m *memory) note(n received) {
	m.notes.Add(noteKey{n.charge.Name, n.digest}, n.at)
	m.last.Add(n.charge.Name, n.at)
}

func (r *Receiver) apply(ctx context.Context, p *v1alpha1.Payment, n received) error {
	return r.Client.Status().Apply(ctx, lastCallback(client.ObjectKeyFromObject(p), n),
		client.FieldOwner(FieldManager), client.ForceOwnership)
}

// lastCallback is what a callback changes on a Payment: nothing but a note. It names no uid, because the API server
// would ignore it in a status: on a Payment of the same name that was created since, the note costs one check.
func lastCallback(name types.NamespacedName, n received) *applyv1alpha1.PaymentApplyConfiguration {
	note := applyv1alpha1.CallbackNote().WithReceivedAt(metav1.NewMicroTime(n.at)).WithDigest(n.digest)
	if claim := providers.SafeCode(n.claim); claim != "" {
		note = note.WithClaim(claim)
	}
	return applyv1alpha1.Payment(name.Name, name.Namespace).
		WithStatus(applyv1alpha1.PaymentStatus().WithLastCallback(note))
}

//go:embed landing.html
var landingPage []byte

// land is where a payer comes back to whose merchant named no page. It promises nothing about the outcome.
func (r *Receiver) land(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		resultMethod.answer(w)
	case !r.throttle.source(r.Limits.clientOf(req), r.Now()):
		resultLimited.answer(w)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = w.Write(landingPage)
	}
}
