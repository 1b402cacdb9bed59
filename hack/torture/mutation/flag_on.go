//go:build mutants

package mutation

import "flag"

// Built tells whether this program was built to hold mutants.
const Built = true

// Flag adds the flag that chooses a mutant.
func Flag(fs *flag.FlagSet) {
	fs.Func("mutant", "take away the safeguard of the mutant of this `name`", func(name string) error {
		Use(name)
		return nil
	})
}
