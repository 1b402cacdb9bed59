package providertest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"mobilemoney.dev/operator/providers"
)

// wire is what lies between the client and the provider. It keeps everything that is sent, and makes the faults.
type wire struct {
	next providers.Transport
	role func(providers.Call) Role

	mu     sync.Mutex
	sent   []sent
	faults []*fault
}

// sent is one request that the client gave to its transport.
type sent struct {
	role Role
	call providers.Call
}

type fault struct {
	on    func(Role) bool
	times int // how many requests; 0 is all
	fired int
	do    func(call providers.Call, deliver func() (providers.Answer, error)) (providers.Answer, error)
}

// Do sends one request, unless a fault befalls it.
func (w *wire) Do(ctx context.Context, call providers.Call) (providers.Answer, error) {
	if err := ctx.Err(); err != nil {
		return providers.Answer{}, &providers.Error{Class: providers.ClassNotSent, Operation: call.Operation, Fault: providers.FaultProvider, Err: err}
	}
	deliver := func() (providers.Answer, error) { return w.next.Do(ctx, call) }
	if f := w.take(call); f != nil {
		return f.do(call, deliver)
	}
	return deliver()
}

func (w *wire) take(call providers.Call) *fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	role := w.role(call)
	call.Header = call.Header.Clone()
	w.sent = append(w.sent, sent{role, call})
	for _, f := range w.faults {
		if f.on(role) && (f.times == 0 || f.fired < f.times) {
			f.fired++
			return f
		}
	}
	return nil
}

func (w *wire) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sent)
}

func (w *wire) since(mark int) []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sent(nil), w.sent[mark:]...)
}

// count of the requests with a role since a mark.
func (w *wire) count(mark int, role Role) int {
	n := 0
	for _, s := range w.since(mark) {
		if s.role == role {
			n++
		}
	}
	return n
}

// during makes a fault while do runs, and tells how often it fired.
func (w *wire) during(f fault, do func()) int {
	w.mu.Lock()
	w.faults = append(w.faults, &f)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.faults = nil
		w.mu.Unlock()
	}()
	do()
	w.mu.Lock()
	defer w.mu.Unlock()
	return f.fired
}

func (w *wire) authorizations() []string {
	proofs := map[string]bool{}
	for _, s := range w.since(0) {
		_, proof, _ := strings.Cut(s.call.Header.Get("Authorization"), " ")
		proofs[proof] = true
	}
	delete(proofs, "")
	return slices.Collect(maps.Keys(proofs))
}

func isToken(r Role) bool { return r == RoleToken }
func noToken(r Role) bool { return r != RoleToken }
func isMoney(r Role) bool { return r == RoleMoney }

const cutShort = "the answer is cut short or missing"

// unsent: no byte left.
func unsent() fault { return failing(providers.ClassNotSent, false, "the connection cannot be opened") }

// dropped: it left, and never arrived.
func dropped() fault { return failing(providers.ClassUnknown, false, cutShort) }

// lost: the provider did what it was asked, and the answer never came.
func lost() fault { return failing(providers.ClassUnknown, true, cutShort) }

func failing(class providers.Class, delivered bool, detail string) fault {
	return fault{on: noToken, do: func(call providers.Call, deliver func() (providers.Answer, error)) (a providers.Answer, err error) {
		if delivered {
			_, err = deliver()
		}
		if err == nil {
			err = &providers.Error{Class: class, Operation: call.Operation, Fault: providers.FaultProvider, Detail: detail}
		}
		return a, err
	}}
}

// says: answered so, and nothing done.
func says(a providers.Answer) fault {
	return fault{on: noToken, do: func(providers.Call, func() (providers.Answer, error)) (providers.Answer, error) { return a, nil }}
}

// edited: done, and answered with something else than the provider said.
func edited(edit Edit) fault {
	return fault{on: noToken, do: func(_ providers.Call, deliver func() (providers.Answer, error)) (providers.Answer, error) {
		a, err := deliver()
		if err != nil {
			return a, err
		}
		return edit(a), nil
	}}
}

func asItIs(a providers.Answer) providers.Answer { return a }

func (f fault) once() fault { f.times = 1; return f }

func (f fault) at(on func(Role) bool) fault { f.on = on; return f }
