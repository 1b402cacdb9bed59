package retention

import (
	"fmt"
	"time"
)

// Settings of the retention.
type Settings struct {
	// Keep is how long a Charge is kept after its newest evidence; 0: for ever. One of
	// which nothing was sent goes after a day all the same.
	Keep time.Duration
	// Minimum of Keep. There is no flag for it; tests shorten it.
	Minimum time.Duration
	// Every is the time between two sweeps.
	Every time.Duration
}

// DefaultSettings for production.
func DefaultSettings() Settings {
	return Settings{Keep: 90 * 24 * time.Hour, Minimum: 96 * time.Hour, Every: time.Hour}
}

// Validate refuses to forget a charge while a new Payment of its name would
// still take it up.
func (s Settings) Validate(adoptionWindow time.Duration) error {
	switch {
	case s.Keep == 0:
		return nil
	case s.Keep < s.Minimum:
		return fmt.Errorf("--charge-retention must be 0 (keep for ever) or at least %v: "+
			"a Payment that is applied again could be charged again", s.Minimum)
	case s.Keep <= adoptionWindow:
		return fmt.Errorf("--charge-retention must be longer than --adoption-window (%v): "+
			"a Payment that is applied again within it has to find its charge", adoptionWindow)
	default:
		return nil
	}
}
