package providers_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
)

// sender counts what leaves.
type sender int

func (s *sender) Do(context.Context, providers.Call) (providers.Answer, error) {
	*s++
	return providers.Answer{Status: 200}, nil
}

// K6d: calls are counted as they leave, and what is stopped here moved nothing.
func TestAdmitted_StopsRequestsBeforeTheyLeave(t *testing.T) {
	for name, tt := range map[string]struct {
		says       error
		class      providers.Class
		retryAfter time.Duration
	}{
		"admitted":     {},
		"throttled":    {says: &providers.Error{Class: providers.ClassThrottled, RetryAfter: time.Second}, class: providers.ClassThrottled, retryAfter: time.Second},
		"context over": {says: context.Canceled, class: providers.ClassNotSent},
		"unknown":      {says: &providers.Error{Class: providers.ClassUnknown}, class: providers.ClassNotSent},
		"rejected":     {says: &providers.Error{Class: providers.ClassRejected}, class: providers.ClassNotSent},
	} {
		var sent sender
		var asked []providers.Operation
		wire := providers.Admitted(&sent, func(_ context.Context, c providers.Call) error {
			asked = append(asked, c.Operation)
			return tt.says
		})
		_, err := wire.Do(t.Context(), providers.Call{Operation: providers.OpStatus})
		if tt.says == nil {
			if err != nil || sent != 1 || len(asked) != 1 || asked[0] != providers.OpStatus {
				t.Errorf("%s: %v, sent %d, asked %v", name, err, sent, asked)
			}
			continue
		}
		e := providers.AsError(err)
		if err == nil || sent != 0 || e.Class != tt.class || e.RetryAfter != tt.retryAfter || e.Operation != providers.OpStatus {
			t.Errorf("%s: %+v, sent %d", name, e, sent)
		}
		if errors.Is(tt.says, context.Canceled) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the cause is lost: %v", name, err)
		}
	}
}
