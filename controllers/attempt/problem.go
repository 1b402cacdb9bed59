package attempt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// Problem says why a request cannot be made now, in a form for the user: a reason
// from the closed list and a message that says what to do.
type Problem struct {
	Reason  v1alpha1.Reason
	Message string
	// ForManager is the message for those who manage the account, where its users
	// are not to learn as much; empty: Message.
	ForManager string
}

func (p *Problem) Error() string { return p.Reason + ": " + p.Message }

// Refused is the problem of a write of the operator's own that the API server does not take, such as for an admission
// policy, a webhook that is out of order or an old CRD; nil: err is something else.
func Refused(err error) *Problem {
	class := refusalClass(err)
	if class == "" {
		return nil
	}
	return &Problem{Reason: v1alpha1.ReasonRecordRefused, Message: fmt.Sprintf(
		"The API server does not take the operator's own record as it is written (%s), so nothing more is sent. Ask the platform team to check "+
			"admission policies, webhooks and the installed CRDs; the operator's log has the details, and the operator retries automatically.", class)}
}

// refusalClass is the API server's class of error where it did not take a write as it was made;
// "": err is something else, such as a conflict.
func refusalClass(err error) string {
	switch reason := apierrors.ReasonForError(err); reason {
	case metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest, metav1.StatusReasonUnauthorized,
		metav1.StatusReasonMethodNotAllowed, metav1.StatusReasonNotAcceptable, metav1.StatusReasonRequestEntityTooLarge, metav1.StatusReasonInternalError:
		return string(reason)
	default:
	}
	if errors.Is(err, errDropped) {
		return "Dropped"
	}
	return ""
}

// Heed takes in how a call ended, and tells whether it should be made again at once:
// what it failed for may be mended. nil heeds nothing.
type Heed func(op providers.Operation, err error) (again bool)

// Failed remembers that a call which moves no money had no usable answer, and returns
// what it means as a notice for people; false: err is ours to handle.
func (p *Protocol) Failed(ctx context.Context, key string, heed Heed, err error) (v1alpha1.Notice, bool) {
	notice, known := p.noticeOf(err)
	p.Remember(key, func(o *Observation) {
		o.At, o.NotFound, o.Notice = p.Now(), false, nil
		o.Failures++
		if known {
			o.Notice = &notice
		}
	})
	var e *providers.Error
	if errors.As(err, &e) {
		p.heard(ctx, key, heed, e.Operation, err)
	}
	return notice, known
}

// Heard remembers what came of a send.
func (p *Protocol) Heard(ctx context.Context, key string, heed Heed, op providers.Operation, a *Answer) Observation {
	p.sent(key, a.Err)
	p.heard(ctx, key, heed, op, a.Err)
	return p.seen.Recall(key)
}

// Unsent remembers that a send was not made after all: the next one waits as after a
// call that failed, whatever the writes of this one wake and questions tell meanwhile.
func (p *Protocol) Unsent(key string, err error) Observation {
	return p.Remember(key, func(o *Observation) {
		o.UnsentAt = p.Now()
		o.Unsent++
		why := Refused(err)
		if why != nil || errors.As(err, &why) {
			o.Notice = &v1alpha1.Notice{Reason: why.Reason, Message: why.Message, At: metav1.NewMicroTime(p.Now())}
		}
	})
}

// NotReady is Unsent for what could not be prepared, unless a limit says when to come back.
func (p *Protocol) NotReady(key string, limit time.Duration, problem *Problem, err error) Observation {
	if limit > 0 {
		return p.seen.Recall(key)
	}
	if problem != nil {
		err = problem
	}
	return p.Unsent(key, err)
}

// heard lets heed know how a call ended, and logs an error.
func (p *Protocol) heard(ctx context.Context, key string, heed Heed, op providers.Operation, err error) {
	if heed != nil && heed(op, err) {
		p.Remember(key, func(o *Observation) { o.At, o.Failures, o.Unsent, o.Notice = time.Time{}, 0, 0, nil })
	}
	if err != nil {
		e := providers.AsError(err)
		log.FromContext(ctx).Info("The provider did not take or answer the request", "attempt", key, "operation", op,
			"status", e.HTTPStatus, "code", e.Code, "field", e.Field, "class", e.Class, "fault", providers.FaultOf(err))
	}
}

func (p *Protocol) noticeOf(err error) (v1alpha1.Notice, bool) {
	var problem *Problem
	var e *providers.Error
	switch {
	case errors.As(err, &problem):
		return v1alpha1.Notice{Reason: problem.Reason, Message: problem.Message, At: metav1.NewMicroTime(p.Now())}, true
	case errors.As(err, &e):
		return NoticeOf(e, p.Now()), true
	default:
		return v1alpha1.Notice{}, false
	}
}

// NoticeOf an error of a provider.
func NoticeOf(e *providers.Error, now time.Time) v1alpha1.Notice {
	return v1alpha1.Notice{Reason: ReasonOf(e), Code: e.Code, Message: Advice(e), At: metav1.NewMicroTime(now)}
}

// Advice is what a provider's error tells people: what failed, whose fault it is and
// what to do. Empty where the reason alone says as much.
func Advice(e *providers.Error) string {
	detail := e.Detail
	switch {
	case detail != "":
	case e.Class == providers.ClassThrottled:
		detail = "the provider limits requests; the operator retries automatically"
	case e.HTTPStatus != 0 && (e.Class == providers.ClassUnknown || e.Class == providers.ClassNotSent):
		detail = "the provider reports an error of its own; the operator retries automatically"
	default:
		return ""
	}
	var what []string
	if e.HTTPStatus != 0 {
		what = append(what, fmt.Sprintf("HTTP %d", e.HTTPStatus))
	}
	if e.Code != "" {
		what = append(what, "code "+e.Code)
	}
	if e.Field != "" {
		what = append(what, "field "+e.Field)
	}
	text := fmt.Sprintf("%s: %s", e.Operation, detail)
	if len(what) > 0 {
		text = fmt.Sprintf("%s (%s): %s", e.Operation, strings.Join(what, ", "), detail)
	}
	return clipTo(text, 1024)
}

// Finish makes one result of the errors of a run: what did not fail because somebody else
// was faster, or deleted the object, goes first.
func Finish(result ctrl.Result, errs ...error) (ctrl.Result, error) {
	var outpaced, others []error
	for _, err := range errs {
		if Outpaced(err) {
			outpaced = append(outpaced, err)
		} else {
			others = append(others, err)
		}
	}
	if err := cmp.Or(errors.Join(others...), errors.Join(outpaced...)); err != nil {
		return ctrl.Result{}, err
	}
	return result, nil
}

// Outpaced tells whether err says that somebody else changed or deleted the object first.
func Outpaced(err error) bool {
	return err != nil && (Conflicts(err) || IsGone(err) || errors.Is(err, ErrBehind))
}

// FailedSince tells whether a call or send failed since an earlier observation.
func (o Observation) FailedSince(earlier Observation) bool {
	return o.Failures > earlier.Failures || o.Unsent > earlier.Unsent
}

// Told is what to tell people about calls that failed, and sends that were not made, before anything
// was sent: what failed in this run, else what the object tells already, else what failed before.
// Two processes that remember different failures would overwrite each other's for ever.
func (o Observation) Told(failed bool, shown []metav1.Condition, text func(v1alpha1.Notice) string) *Problem {
	var own *Problem
	if (failed || o.Unsent > 0) && o.Notice != nil {
		own = &Problem{Reason: o.Notice.Reason, Message: text(*o.Notice)}
	}
	c := meta.FindStatusCondition(shown, v1alpha1.ConditionSucceeded)
	if c == nil || failed && own != nil {
		return own
	}
	switch c.Reason {
	case v1alpha1.ReasonProviderUnreachable, v1alpha1.ReasonProviderThrottled, v1alpha1.ReasonAccountMisconfigured,
		v1alpha1.ReasonCredentialsNotFound, v1alpha1.ReasonCredentialsIncomplete, v1alpha1.ReasonRecordRefused:
		return &Problem{Reason: c.Reason, Message: c.Message}
	default:
		return own
	}
}

// ReportUnfollowed tells that what was asked for an object which is gone cannot be followed any more, in the log and in
// an event in the operator's own namespace: that of the sale may be gone, and others must not learn of it.
func ReportUnfollowed(ctx context.Context, recorder events.EventRecorder, operatorNamespace string, c *v1alpha1.Charge, key string, why *Problem) {
	log.FromContext(ctx).Info("A Charge without its object cannot be followed", "charge", c.Name, "attempt", key, "reason", why.Reason)
	if recorder == nil {
		return
	}
	about := &corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Charge", Name: c.Name, UID: c.UID, Namespace: operatorNamespace,
	}
	recorder.Eventf(about, nil, corev1.EventTypeWarning, why.Reason, "Follow", "The outcome of this charge cannot be asked for: %s", why.Message)
}

// ReasonOf maps what an error means for the money to what the user is told.
func ReasonOf(e *providers.Error) v1alpha1.Reason {
	switch e.Class {
	case providers.ClassMisconfigured:
		return v1alpha1.ReasonAccountMisconfigured
	case providers.ClassThrottled:
		return v1alpha1.ReasonProviderThrottled
	default:
		return v1alpha1.ReasonProviderUnreachable
	}
}

// RefusalReason is why a request was refused for good.
func RefusalReason(e *providers.Error) v1alpha1.Reason {
	if e.Failure != "" {
		return v1alpha1.Reason(e.Failure)
	}
	return v1alpha1.ReasonRequestRejected
}

// FailureReason of a provider as a reason for the user: the two closed lists use the same words.
func FailureReason(f providers.FailureReason) v1alpha1.Reason {
	if f == "" {
		return v1alpha1.ReasonProviderRefused
	}
	return v1alpha1.Reason(f)
}

// Clip bounds what a provider may make us store and show.
func Clip(s string) string { return clipTo(s, 255) }

// clipTo keeps printable text of at most limit bytes.
func clipTo(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > limit {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
