package attempt

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// rig is a Protocol over an API in memory, whose writes can be disturbed.
type rig struct {
	*Protocol
	t   testing.TB
	api client.WithWatch
	now time.Time
	// disturb a write: what it returns is answered, after the write if it was done.
	disturb func(verb string, do func() error) error
	calls   int
}

func newRig(t testing.TB, charges ...client.Object) *rig {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, now: noon, api: fake.NewClientBuilder().WithScheme(scheme).WithObjects(charges...).Build()}
	r.disturb = func(_ string, do func() error) error { return do() }
	r.Protocol = &Protocol{
		Live: r.api, Settings: DefaultSettings(), Now: func() time.Time { return r.now }, Process: "me",
		Pause: func(ctx context.Context, d time.Duration) error {
			if r.now = r.now.Add(d); r.now.Sub(noon) > time.Minute {
				return context.DeadlineExceeded
			}
			return ctx.Err()
		},
		Client: interceptor.NewClient(r.api, interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				o.SetUID("u1")
				return r.disturb("create", func() error { return c.Create(ctx, o, opts...) })
			},
			Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
				return r.disturb("update", func() error { return c.Update(ctx, o, opts...) })
			},
		}),
	}
	return r
}

func charge(change ...func(*v1alpha1.Charge)) *v1alpha1.Charge {
	c := &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "charge-x"}}
	for _, f := range change {
		f(c)
	}
	return c
}

func stored(c *v1alpha1.Charge) { c.UID = "u1" }

// get the Charge as it is; nil: there is none.
func (r *rig) get() *v1alpha1.Charge {
	var c v1alpha1.Charge
	if err := r.api.Get(context.Background(), types.NamespacedName{Name: "charge-x"}, &c); err != nil {
		return nil
	}
	return &c
}

// sending of c, with an answer.
func (r *rig) sending(c *v1alpha1.Charge, answer error) Sending {
	return Sending{
		Where: Payment, Charge: c, Credentials: "key", Rules: kinds()["mtn"],
		Fence: func(context.Context, *v1alpha1.Charge) error { return nil },
		Call: func(context.Context, *v1alpha1.Charge) (providers.Initiation, error) {
			r.calls++
			return providers.Initiation{}, answer
		},
	}
}

// faults of a write, and whether it is done all the same.
func writeFaults() map[string]func(do func() error) error {
	resource := v1alpha1.SchemeGroupVersion.WithResource("charges").GroupResource()
	not := func(err error) func(func() error) error { return func(func() error) error { return err } }
	but := func(err error) func(func() error) error {
		return func(do func() error) error { return errors.Join(do(), err) }
	}
	return map[string]func(do func() error) error{
		"conflict": not(apierrors.NewConflict(resource, "charge-x", nil)), "exists": not(apierrors.NewAlreadyExists(resource, "charge-x")),
		"forbidden": not(apierrors.NewForbidden(resource, "charge-x", nil)), "invalid": not(apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind("Charge").GroupKind(), "charge-x", nil)),
		"away": not(apierrors.NewServiceUnavailable("down")), "timed out": not(apierrors.NewTimeoutError("slow", 1)),
		"answer lost": but(context.DeadlineExceeded), "written, then 500": but(apierrors.NewInternalError(errors.New("etcd"))),
		"written, and the repeat conflicts": but(apierrors.NewConflict(resource, "charge-x", nil)),
	}
}

// R1: a create or raise that conflicts, finds the object, is refused, or whose answer is
// lost sends nothing. If it was written all the same, its sender voids it with the next run.
func TestSend_OnlyAfterAnAcknowledgedRaise(t *testing.T) {
	for name, fault := range writeFaults() {
		for _, existing := range []bool{false, true} {
			r, c := newRig(t), charge()
			if existing {
				r = newRig(t, charge(stored))
				c = r.get()
			}
			r.disturb = func(_ string, do func() error) error { return fault(do) }
			after, answer, err := r.Send(t.Context(), r.sending(c, nil))
			if r.calls != 0 || answer != nil || !errors.Is(err, ErrNotRaised) || after != c {
				t.Errorf("%s: %d calls, answer %+v, error %v", name, r.calls, answer, err)
			}
			r.disturb = func(_ string, do func() error) error { return do() }
			if err := r.Flush(t.Context(), "charge-x"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if now := r.get(); now != nil && (len(now.Record.Open) != 0 || !NothingSent(&now.Record.Attempt)) {
				t.Errorf("%s: an open send that nobody made: %+v", name, now.Record)
			}
		}
	}
	// What was written is not what was asked for: an admission policy, or an old CRD.
	for name, strip := range map[string]func(*v1alpha1.ChargeRecord){
		"sends": func(rec *v1alpha1.ChargeRecord) { rec.Sends = 0 }, "open": func(rec *v1alpha1.ChargeRecord) { rec.Open = nil },
	} {
		r := newRig(t)
		r.Client = interceptor.NewClient(r.api, interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				strip(&o.(*v1alpha1.Charge).Record)
				return c.Create(ctx, o, opts...)
			},
		})
		if _, _, err := r.Send(t.Context(), r.sending(charge(), nil)); r.calls != 0 || !errors.Is(err, ErrNotRaised) {
			t.Errorf("%s is lost: %d calls, %v", name, r.calls, err)
		} else if p := (&Problem{}); !errors.As(err, &p) || p.Reason != v1alpha1.ReasonRecordRefused {
			t.Errorf("%s is lost: %v", name, err)
		}
		if err := r.Flush(t.Context(), "charge-x"); err != nil || len(r.get().Record.Open) != 0 {
			t.Errorf("%s is lost: a send that was not made stays open: %v", name, err)
		}
	}
	// Another process won: its send is not ours to void.
	r := newRig(t, charge(stored))
	late := r.get()
	r.Process = "other"
	s := r.sending(r.get(), errors.New("cut"))
	_, _, _ = r.Send(t.Context(), s)
	r.Process = "me"
	if _, _, err := r.Send(t.Context(), r.sending(late, nil)); !errors.Is(err, ErrNotRaised) || r.Flush(t.Context(), "charge-x") != nil || len(r.get().Record.Open) != 1 {
		t.Errorf("%v, %+v", err, r.get().Record)
	}
}

func TestSend_IsVoidedByItsSender(t *testing.T) {
	leads, back := true, false
	for name, c := range map[string]struct {
		change func(*rig, *Sending)
		reason v1alpha1.Reason
	}{
		"the fence says no": {func(_ *rig, s *Sending) {
			s.Fence = func(context.Context, *v1alpha1.Charge) error { return errors.New("not wanted") }
		}, v1alpha1.ReasonAccepted},
		"the sale is remembered": {func(_ *rig, s *Sending) {
			s.Look = func(context.Context, *v1alpha1.Charge) error { return &Problem{Reason: v1alpha1.ReasonReusedName} }
		}, v1alpha1.ReasonReusedName},
		"the memory of sales cannot be read": {func(_ *rig, s *Sending) {
			s.Look = func(context.Context, *v1alpha1.Charge) error {
				return apierrors.NewNotFound(v1alpha1.SchemeGroupVersion.WithResource("saleindexes").GroupResource(), "x")
			}
		}, v1alpha1.ReasonAccepted},
		"too much time passed": {func(r *rig, s *Sending) {
			s.Fence = func(context.Context, *v1alpha1.Charge) error { r.now = r.now.Add(16 * time.Second); return nil }
		}, v1alpha1.ReasonAccepted},
		"the clock was set back": {func(r *rig, s *Sending) {
			s.Fence = func(context.Context, *v1alpha1.Charge) error { r.now = r.now.Add(-time.Second); return nil }
		}, v1alpha1.ReasonAccepted},
		"the lease is lost": {func(r *rig, s *Sending) {
			r.Leads = func() bool { return leads }
			s.Fence = func(context.Context, *v1alpha1.Charge) error { leads = false; return nil }
		}, v1alpha1.ReasonAccepted},
		"the write shows a restore": {func(r *rig, s *Sending) {
			r.RestoreDetected = func() bool { return back }
			s.Fence = func(context.Context, *v1alpha1.Charge) error { back = true; return nil }
		}, v1alpha1.ReasonAdoptOnly},
	} {
		r := newRig(t)
		s := r.sending(charge(), nil)
		c.change(r, &s)
		after, answer, err := r.Send(t.Context(), s)
		if err != nil || answer != nil || r.calls != 0 {
			t.Fatalf("%s: %d calls, %v", name, r.calls, err)
		}
		if a := r.get().Record.Attempt; a.Sends != 1 || !NothingSent(&a) || a.Notice == nil || a.Notice.Reason != c.reason || after.Record.Sends != 1 {
			t.Errorf("%s: %+v", name, a)
		}
	}
	r := newRig(t)
	r.Leads = func() bool { return false }
	if _, answer, err := r.Send(t.Context(), r.sending(charge(), nil)); err != nil || answer != nil || r.get() != nil {
		t.Errorf("begun behind a closed gate: %v", err)
	}
}

// All of a send, from the raise on, is over before it counts as lost.
func TestSend_TakesNoLongerThanCallTimeout(t *testing.T) {
	r := newRig(t)
	s := r.sending(charge(), nil)
	s.Fence = func(context.Context, *v1alpha1.Charge) error { r.now = r.now.Add(10 * time.Second); return nil }
	s.Call = func(ctx context.Context, _ *v1alpha1.Charge) (providers.Initiation, error) {
		if end, ok := ctx.Deadline(); !ok || time.Until(end) > 20*time.Second {
			t.Errorf("the call may take %s", time.Until(end))
		}
		return providers.Initiation{}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	fence := s.Fence
	s.Fence = func(ctx context.Context, c *v1alpha1.Charge) error { cancel(); return fence(ctx, c) }
	if _, answer, err := r.Send(ctx, s); err != nil || answer == nil || r.get().Record.Taken == nil {
		t.Errorf("a shutdown cuts off what was begun: %v", err)
	}
}

func TestSend_RecordsEveryAnswer(t *testing.T) {
	said := func(c providers.Class) error {
		return &providers.Error{Class: c, Code: "X", Operation: providers.OpInitiate}
	}
	type state struct {
		open, taken, known, refused, lost bool
		notice                            v1alpha1.Reason
	}
	for name, c := range map[string]struct {
		answer error
		kind   string
		known  bool
		before []change
		want   state
	}{
		"taken":                                {nil, "mtn", false, nil, state{taken: true}},
		"refused":                              {said(providers.ClassRejected), "wave", false, nil, state{refused: true}},
		"throttled":                            {said(providers.ClassThrottled), "wave", false, nil, state{notice: v1alpha1.ReasonProviderThrottled}},
		"401":                                  {said(providers.ClassMisconfigured), "mtn", false, nil, state{notice: v1alpha1.ReasonAccountMisconfigured}},
		"never left":                           {said(providers.ClassNotSent), "orange", false, nil, state{notice: v1alpha1.ReasonProviderUnreachable}},
		"no answer":                            {said(providers.ClassUnknown), "orange", false, nil, state{open: true}},
		"an error of no class":                 {errors.New("odd"), "orange", false, nil, state{open: true}},
		"not found, to a send":                 {said(providers.ClassNotFound), "mtn", false, nil, state{open: true}},
		"known at the first send":              {said(providers.ClassAlreadyExists), "mtn", false, nil, state{open: true, known: true}},
		"known at the first send, of a refund": {said(providers.ClassAlreadyExists), "mtn", true, nil, state{taken: true}},
		"known at the second":                  {said(providers.ClassAlreadyExists), "mtn", false, []change{sent(time.Hour, "me")}, state{open: true, taken: true}},
		"known at Orange":                      {said(providers.ClassAlreadyExists), "orange", false, []change{sent(time.Hour, "me")}, state{open: true, lost: true}},
	} {
		f := situation(c.kind, c.before...)
		r := newRig(t, charge(stored, func(ch *v1alpha1.Charge) {
			if f.Attempt != nil {
				ch.Record.Attempt = *f.Attempt
			}
		}))
		s := r.sending(r.get(), c.answer)
		s.Rules, s.Known = kinds()[c.kind], c.known
		if _, answer, err := r.Send(t.Context(), s); err != nil || answer == nil || r.calls != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		a := r.get().Record.Attempt
		got := state{open: len(a.Open) > 0, taken: a.Taken != nil, known: a.ReferenceKnown, refused: a.Refusal != nil, lost: a.Unknown != nil && a.Unknown.Reason == v1alpha1.ReasonLostInitiation}
		if a.Notice != nil {
			got.notice = a.Notice.Reason
		}
		if got != c.want || a.Outcome != nil {
			t.Errorf("%s: %+v, of %+v", name, got, a)
		}
	}
}

func TestSend_KeepsTheFirstSession(t *testing.T) {
	r := newRig(t, charge(stored))
	s := r.sending(r.get(), nil)
	s.Call = func(context.Context, *v1alpha1.Charge) (providers.Initiation, error) {
		winner := r.get()
		winner.Record.Session = &v1alpha1.Session{ID: "winner"}
		return providers.Initiation{Session: providers.Session{ID: "loser", PaymentURL: "https://pay.example"}}, r.api.Update(context.Background(), winner)
	}
	if c, _, err := r.Send(t.Context(), s); err != nil || c.Record.Session.ID != "winner" || len(c.Record.Open) != 0 {
		t.Errorf("%v, %+v", err, c.Record)
	}
}

// However writes fail and answers come: there is one call for an acknowledged raise at most, sends
// that may have arrived are never taken for others, and every answer is recorded in the end.
func TestSend_OncePerRaise(t *testing.T) {
	faults := writeFaults()
	names := []string{"", "", "", "conflict", "away", "answer lost", "forbidden", "written, then 500"}
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		acknowledged, c := 0, charge()
		r.disturb = func(_ string, do func() error) error {
			if fault, ok := faults[rapid.SampledFrom(names).Draw(rt, "fault")]; ok {
				return fault(do)
			}
			return do()
		}
		for range rapid.IntRange(1, 5).Draw(rt, "sends") {
			if now := r.get(); now != nil {
				c = now
			}
			lost := rapid.Bool().Draw(rt, "answer lost")
			before := r.calls
			s := r.sending(c.DeepCopy(), nil)
			s.Fence = func(context.Context, *v1alpha1.Charge) error { acknowledged++; return nil }
			if lost {
				s.Call = func(context.Context, *v1alpha1.Charge) (providers.Initiation, error) {
					r.calls++
					return providers.Initiation{}, errors.New("cut")
				}
			}
			r.now = noon
			_, _, _ = r.Send(context.Background(), s)
			r.now = noon
			_ = r.Flush(context.Background(), "charge-x")
			if r.calls-before > 1 || r.calls > acknowledged {
				rt.Fatalf("%d calls for %d acknowledged raises", r.calls, acknowledged)
			}
			if now := r.get(); now != nil && (now.Record.Taken != nil || len(now.Record.Open) == v1alpha1.MaxOpenSends) {
				break
			}
		}
		r.disturb = func(_ string, do func() error) error { return do() }
		r.now = noon
		if err := r.Drain(context.Background()); err != nil {
			rt.Fatal(err)
		}
		if now := r.get(); now != nil && r.calls == 0 && MayHaveArrived(&now.Record.Attempt) {
			rt.Fatalf("nothing was sent: %+v", now.Record)
		} else if r.calls > 0 && (now == nil || !MayHaveArrived(&now.Record.Attempt)) {
			rt.Fatalf("%d calls: %+v", r.calls, now)
		}
	})
}

// R3, K2f: an answer that cannot be written is kept for as long as the process lives,
// and written before anything else is decided; it belongs to one Charge, not to a name.
func TestK2f_AnswersAreKept(t *testing.T) {
	away := func(string, func() error) error { return apierrors.NewServiceUnavailable("restarting") }
	whole := func(_ string, do func() error) error { return do() }
	for name, c := range map[string]struct {
		meanwhile func(r *rig)
		recorded  bool
	}{
		"the API server comes back": {func(*rig) {}, true},
		"somebody else wrote meanwhile": {func(r *rig) {
			c := r.get()
			raise(&c.Record.Attempt, "other", "", noon)
			_ = r.api.Update(context.Background(), c)
		}, true},
		"the Charge is gone": {func(r *rig) { _ = r.api.Delete(context.Background(), r.get()) }, false},
		"the Charge is another one": {func(r *rig) {
			_ = r.api.Delete(context.Background(), r.get())
			_ = r.api.Create(context.Background(), charge(func(c *v1alpha1.Charge) { c.UID = "u2" }))
		}, false},
	} {
		r := newRig(t)
		s := r.sending(charge(), nil)
		s.Call = func(context.Context, *v1alpha1.Charge) (providers.Initiation, error) {
			r.disturb = away
			return providers.Initiation{Session: providers.Session{ID: "s", Token: "token"}}, nil
		}
		if _, answer, err := r.Send(t.Context(), s); err == nil || answer == nil {
			t.Fatalf("%s: recorded though the API server is away", name)
		}
		for range 3 {
			r.now = noon
			if err := r.Flush(t.Context(), "charge-x"); err == nil {
				t.Errorf("%s: written though the API server is away", name)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r.now = noon
		if err := r.Drain(ctx); err == nil {
			t.Errorf("%s: drained though the API server is away", name)
		}
		c.meanwhile(r)
		r.disturb, r.now = whole, noon
		if err := r.Drain(t.Context()); err != nil || len(r.pending.answers) != 0 {
			t.Errorf("%s: %v, %d left", name, err, len(r.pending.answers))
		}
		if now := r.get(); c.recorded != (now != nil && now.Record.Taken != nil && now.Record.Session != nil && now.Record.Session.Token == "token") {
			t.Errorf("%s: %+v", name, now)
		}
	}
}

// An API server that has just started knows neither our rights nor the kind yet: a 404
// that is not about the object says nothing of it.
func TestRecord_OutlivesAShutdownAndARestart(t *testing.T) {
	resource := v1alpha1.SchemeGroupVersion.WithResource("charges").GroupResource()
	for name, answer := range map[string]error{
		"away": apierrors.NewServiceUnavailable("restarting"), "without rights": apierrors.NewForbidden(resource, "charge-x", errors.New("no")),
		"without the kind": apierrors.NewGenericServerResponse(http.StatusNotFound, "put", resource, "charge-x", "404 page not found", 0, true),
	} {
		r, tries := newRig(t, charge(stored)), 0
		r.Pause = func(context.Context, time.Duration) error { return nil }
		r.disturb = func(_ string, do func() error) error {
			if tries++; tries < 3 {
				return answer
			}
			return do()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if c, err := r.Record(ctx, r.get(), Where(Payment).On(folds()["paid"])); err != nil || c.Record.Outcome == nil || tries != 3 {
			t.Errorf("%s: %d tries, %v", name, tries, err)
		}
		if IsGone(answer) {
			t.Errorf("%s: taken for gone", name)
		}
	}
}

func TestSettings_Validate(t *testing.T) {
	if err := DefaultSettings().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Settings){
		"no call timeout": func(s *Settings) { s.CallTimeout = 0 }, "a late window shorter than a call": func(s *Settings) { s.LateWindow = s.CallTimeout - 1 },
		"no prompts": func(s *Settings) { s.Prompts.PerPhone = 0 }, "no unsent Charges": func(s *Settings) { s.UnsentCharges = 0 },
		"a negative skew": func(s *Settings) { s.ClockSkew = -1 }, "no start deadline": func(s *Settings) { s.StartDeadline = 0 },
	} {
		s := DefaultSettings()
		change(&s)
		if s.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
