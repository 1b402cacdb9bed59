package providers

import "fmt"

// The types below carry credentials, tokens, phones and callback paths on
// their way to and from the wire. Printing one, by accident or while
// debugging, shows only what it is about.

func (c Call) String() string { return "call " + c.Op }

func (c Call) GoString() string { return c.String() }

func (a Answer) String() string { return fmt.Sprintf("answer HTTP %d", a.Status) }

func (a Answer) GoString() string { return a.String() }

func (r InitiateRequest) String() string { return "initiate " + r.Reference }

func (r InitiateRequest) GoString() string { return r.String() }

func (CallbackRequest) String() string { return "callback request" }

func (r CallbackRequest) GoString() string { return r.String() }
