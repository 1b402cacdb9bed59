package providertest

import (
	"context"
	"slices"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

type subject struct {
	payment  Payment
	refund   providers.RefundRequest
	status   providers.Status
	sessions []providers.Session
}

// operation is one method of the provider in a situation in which it works.
// All of its requests but those for tokens are the one that it is about.
type operation struct {
	op Op
	// ready brings the situation about.
	ready func(t rapid.TB, w *world) *subject
	do    func(ctx context.Context, w *world, s *subject) error
}

// question tells whether it asks for nothing but an answer.
func (o operation) question() bool {
	return o.op == OpStatus || o.op == OpSearch || o.op == OpRefundStatus
}

func (o operation) readsStatus() bool { return o.op == OpStatus || o.op == OpRefundStatus }

// isAbout tells whether the status that was got is that of what was asked about.
func (o operation) isAbout(s *subject) bool {
	if o.op == OpRefundStatus {
		return s.status.MatchesRefund(s.refund.RefundHandle)
	}
	return s.status.Matches(s.payment.Handle())
}

// run in a situation of its own, in which a fault befalls its requests.
func (o operation) run(t rapid.TB, w *world, f fault) (*subject, error) {
	t.Helper()
	s := o.ready(t, w)
	return s, o.again(t, w, s, f)
}

// again, in the same situation.
func (o operation) again(t rapid.TB, w *world, s *subject, f fault) (err error) {
	t.Helper()
	fired := w.wire.during(f, func() {
		err = w.call(o.op, func(ctx context.Context) error { return o.do(ctx, w, s) })
	})
	w.remember(s.payment.Initiation.Session, s.payment.Initiation.NotificationToken)
	if fired == 0 {
		t.Fatalf("%s sent nothing that the fault could befall", o.op)
	}
	return err
}

func (w *world) operations() []operation {
	p := w.profile()
	all := []operation{initiating(), asking()}
	if p.searcher {
		all = append(all, searching())
	}
	if p.canceller {
		all = append(all, cancelling())
	}
	if p.refunder {
		all = append(all, refunding(), askingForRefund())
	}
	return all
}

// operation with a name, if the provider has it.
func (w *world) operation(op Op) (operation, bool) {
	all := w.operations()
	i := slices.IndexFunc(all, func(o operation) bool { return o.op == op })
	if i < 0 {
		return operation{}, false
	}
	return all[i], true
}

func initiating() operation {
	return operation{OpInitiate,
		func(t rapid.TB, w *world) *subject {
			w.warm(t)
			return &subject{payment: Payment{Request: w.request(t)}}
		},
		func(ctx context.Context, w *world, s *subject) (err error) {
			s.payment.Initiation, err = w.client.Initiate(ctx, s.payment.Request)
			return err
		}}
}

func asking() operation {
	return operation{OpStatus,
		func(t rapid.TB, w *world) *subject { return &subject{payment: w.paid(t)} },
		func(ctx context.Context, w *world, s *subject) (err error) {
			s.status, err = w.client.Status(ctx, s.payment.Handle())
			return err
		}}
}

func searching() operation {
	return operation{OpSearch,
		func(t rapid.TB, w *world) *subject { return &subject{payment: w.open(t)} },
		func(ctx context.Context, w *world, s *subject) (err error) {
			s.sessions, err = w.client.(providers.Searcher).Search(ctx, s.payment.Request.Reference)
			return err
		}}
}

func cancelling() operation {
	return operation{OpCancel,
		func(t rapid.TB, w *world) *subject { return &subject{payment: w.open(t)} },
		func(ctx context.Context, w *world, s *subject) error {
			return w.client.(providers.Canceller).Cancel(ctx, s.payment.Handle())
		}}
}

func refunding() operation {
	return operation{OpRefund,
		func(t rapid.TB, w *world) *subject {
			p := w.paid(t)
			return &subject{payment: p, refund: w.refundOf(t, p, w.facts.Request.Money.Amount)}
		},
		func(ctx context.Context, w *world, s *subject) error {
			return w.client.(providers.Refunder).Refund(ctx, s.refund)
		}}
}

func askingForRefund() operation {
	return operation{OpRefundStatus,
		func(t rapid.TB, w *world) *subject {
			s := refunding().ready(t, w)
			if err := w.refund(s.refund); err != nil {
				t.Fatalf("Refund: %v", err)
			}
			w.Advance(settling)
			w.warm(t)
			return s
		},
		func(ctx context.Context, w *world, s *subject) (err error) {
			s.status, err = w.client.(providers.Refunder).RefundStatus(ctx, s.refund.RefundHandle)
			return err
		}}
}
