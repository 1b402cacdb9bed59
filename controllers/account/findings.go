package account

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/event"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

const (
	// keepFinding is how long a finding counts that no call confirms.
	keepFinding = 15 * time.Minute
	maxFindings = 4096
	// wakes is how many accounts may wait to be looked at; others are looked at in time.
	wakes = 128
)

// Findings are what the calls for payments and refunds told about accounts: at most one
// problem for each. They are kept in memory only.
type Findings struct {
	mu sync.Mutex
	of map[string]finding // by identity
	// changed has an account of each kind looked at.
	changed map[string]chan event.GenericEvent
}

// finding is a problem of an account that a call showed.
type finding struct {
	operation providers.Operation
	message   string
	at        time.Time
}

func newFindings() *Findings {
	return &Findings{of: map[string]finding{}, changed: map[string]chan event.GenericEvent{
		KindNamespaced: make(chan event.GenericEvent, wakes), KindCluster: make(chan event.GenericEvent, wakes),
	}}
}

// report how a call ended. What is the fault of the account, or of the operator's settings, is
// kept until a call disproves it.
func (f *Findings) report(pin v1alpha1.AccountPin, op providers.Operation, err error, now time.Time) {
	if f.changed[pin.Kind] == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := identity(pin)
	had, known := f.of[key]
	switch {
	case err == nil && known && had.disprovedBy(op):
		delete(f.of, key)
	case err != nil && misconfigured(err):
		found := finding{cmp.Or(providers.AsError(err).Operation, op), diagnosis(err), now}
		if !known && len(f.of) >= maxFindings {
			clear(f.of)
		}
		f.of[key] = found
		if had.message == found.message {
			return
		}
	default:
		return
	}
	o := newObject(pin.Kind)
	o.SetNamespace(pin.Namespace)
	o.SetName(pin.Name)
	select {
	case f.changed[pin.Kind] <- event.GenericEvent{Object: o}:
	default:
	}
}

// disprovedBy tells whether a success of op shows that the finding is out of date: one of the
// same operation, or any if there was no token.
func (f finding) disprovedBy(op providers.Operation) bool {
	switch f.operation {
	case op, providers.OpToken:
		return true
	default:
		return false
	}
}

// misconfigured: the account or the operator is at fault, and not the payment or the provider.
func misconfigured(err error) bool {
	fault := providers.FaultOf(err)
	return providers.ClassOf(err) == providers.ClassMisconfigured && (fault == providers.FaultAccount || fault == providers.FaultOperator)
}

// about an account; "" for nothing.
func (f *Findings) about(pin v1alpha1.AccountPin, now time.Time) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, ok := f.of[identity(pin)]
	if !ok || now.Sub(found.at) > keepFinding {
		return ""
	}
	return found.message
}

// forget what was found about an account, since somebody changed it.
func (f *Findings) forget(pin v1alpha1.AccountPin) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.of, identity(pin))
}

// diagnosis tells people what is wrong with an account: what was asked, what the provider
// answered, and what to do. It holds nothing that changes from one call to the next.
func diagnosis(err error) string {
	todo := "correct the account or its Secret"
	if providers.FaultOf(err) == providers.FaultOperator {
		todo = "correct the settings of the operator"
	}
	return "The provider refused the " + asked(err) + ": " + cmp.Or(providers.AsError(err).Detail, todo) + "."
}

// outage tells people what the provider, or the network, failed at.
func outage(err error) string {
	text := "The provider cannot be reached, or is out of order; it is asked again. The " + asked(err) + " failed"
	if detail := providers.AsError(err).Detail; detail != "" {
		text += ": " + detail
	}
	return text + "."
}

// asked is the operation of a call, and what the answer told.
func asked(err error) string {
	e := providers.AsError(err)
	var with []string
	if e.HTTPStatus != 0 {
		with = append(with, fmt.Sprintf("HTTP status %d", e.HTTPStatus))
	}
	if e.Code != "" {
		with = append(with, "code "+e.Code)
	}
	if e.Field != "" {
		with = append(with, "field "+e.Field)
	}
	what := "operation " + string(e.Operation)
	if len(with) > 0 {
		what += " (" + strings.Join(with, ", ") + ")"
	}
	return what
}
