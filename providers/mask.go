package providers

import (
	"fmt"
	"io"
)

// The types below carry credentials, tokens, phones and callback paths on
// their way to and from the wire. Printing one, by accident or while
// debugging, shows only what it is about: by any verb of fmt (a wrong one, such
// as %d, would show the content), in JSON, and in any log.

func (c Call) String() string { return "call " + string(c.Operation) }

func (c Call) Format(f fmt.State, _ rune) { write(f, c) }

func (c Call) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (a Answer) String() string { return fmt.Sprintf("answer HTTP %d", a.Status) }

func (a Answer) Format(f fmt.State, _ rune) { write(f, a) }

func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (r InitiateRequest) String() string { return "initiate " + r.Reference }

func (r InitiateRequest) Format(f fmt.State, _ rune) { write(f, r) }

func (r InitiateRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (CallbackRequest) String() string { return "callback request" }

func (r CallbackRequest) Format(f fmt.State, _ rune) { write(f, r) }

func (r CallbackRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func write(f fmt.State, s fmt.Stringer) { _, _ = io.WriteString(f, s.String()) }
