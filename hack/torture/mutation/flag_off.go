//go:build !mutants

package mutation

import "flag"

// Built tells whether this program was built to hold mutants.
const Built = false

// Flag adds nothing: there are no mutants here to choose from.
func Flag(*flag.FlagSet) {}
