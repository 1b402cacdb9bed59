package process

import (
	"io"
	"os"
)

// Exit codes of the programs that use this package.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitInterrupted = 130
)

// Main is that of a program which starts processes: run is the program, unless this
// process is the guard of one. It does not return but in the guard.
func Main(run func(args []string, stdout *os.File, stderr io.Writer) int) {
	guard, err := AsGuard()
	switch {
	case !guard:
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	case err != nil:
		os.Exit(ExitFailed)
	}
}
