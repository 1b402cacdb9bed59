package attempt

import (
	"errors"
	"time"

	"mobilemoney.dev/operator/controllers/promptlimit"
)

// Settings are the windows of the protocol. They are settings so that a test
// can shorten them; the defaults are what production wants.
type Settings struct {
	// CallTimeout bounds one call to a provider.
	CallTimeout time.Duration
	// RecordTimeout bounds one try to record an answer, retries on conflict included.
	// What could not be recorded is kept and tried again.
	RecordTimeout time.Duration
	// LateWindow is how long after a send it may still arrive.
	LateWindow time.Duration
	// ClockSkew is added to what another process's clock said.
	ClockSkew time.Duration
	// StartDeadline is how long after its creation a Payment may still be asked for the first time.
	StartDeadline time.Duration
	// UnsentCharges that one namespace may have: Charges of which nothing was sent.
	UnsentCharges int
	// RetryMin and RetryMax bound the wait after a call that did not get through.
	RetryMin, RetryMax time.Duration
	// CallbackGap is the least time between two checks that callbacks ask for, however many come.
	CallbackGap time.Duration
	// ExpiryMargin is added to the end of a session before it counts as over.
	ExpiryMargin time.Duration
	// AdoptionWindow is how long after its end a Charge is adopted by a new
	// Payment of the same name without consent; 0: always.
	AdoptionWindow time.Duration
	// AdoptOnly: ask and adopt, but send nothing.
	AdoptOnly bool
	// Prompts limits how often payers may be rung where an account says nothing.
	Prompts promptlimit.Limits
}

// DefaultSettings for production.
func DefaultSettings() Settings {
	return Settings{
		CallTimeout:    30 * time.Second,
		RecordTimeout:  10 * time.Second,
		LateWindow:     2 * time.Minute,
		ClockSkew:      time.Minute,
		StartDeadline:  24 * time.Hour,
		UnsentCharges:  1000,
		RetryMin:       5 * time.Second,
		RetryMax:       time.Minute,
		CallbackGap:    10 * time.Second,
		ExpiryMargin:   5 * time.Minute,
		AdoptionWindow: 24 * time.Hour,
		Prompts:        promptlimit.Limits{PerPhone: 20, PerNamespace: 3000},
	}
}

// Validate refuses windows with which the protocol is not safe.
func (s Settings) Validate() error {
	for _, d := range []time.Duration{
		s.CallTimeout, s.RecordTimeout, s.LateWindow, s.RetryMin, s.RetryMax,
		s.CallbackGap, s.StartDeadline,
	} {
		if d <= 0 {
			return errors.New("every time-out, window and interval must be more than 0")
		}
	}
	switch {
	case s.Prompts.PerPhone < 1, s.Prompts.PerNamespace < 1:
		return errors.New("--prompts-per-phone and --prompts-per-namespace must be at least 1")
	case s.UnsentCharges < 1:
		return errors.New("--unsent-charges-per-namespace must be at least 1")
	case s.LateWindow < s.CallTimeout:
		return errors.New("--late-window must not be shorter than --call-timeout: a request that is still under way would count as lost")
	case s.ClockSkew < 0, s.ExpiryMargin < 0, s.AdoptionWindow < 0:
		return errors.New("--clock-skew, --expiry-margin and --adoption-window must not be negative")
	default:
		return nil
	}
}

// RunTimeout bounds one run of a loop: what is read at its beginning is not older when it ends.
func (s Settings) RunTimeout() time.Duration {
	// A call and its record have to fit.
	return 3*s.CallTimeout + 2*s.RecordTimeout
}

// Retry is the wait after the n-th failure in a row.
func (s Settings) Retry(n int) time.Duration {
	wait := s.RetryMin
	for i := 1; i < n && wait < s.RetryMax; i++ {
		wait *= 2
	}
	return min(wait, s.RetryMax)
}
