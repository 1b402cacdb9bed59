// Command release checks that a binary is fit to be given out: static, built from
// what is committed, reproducible, and without what only tests need.
//
//	release BINARY...
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	code := 0
	for _, file := range os.Args[1:] {
		problems, err := check(file)
		if err != nil {
			problems = []error{err}
		}
		if err := errors.Join(problems...); err != nil {
			fmt.Fprintf(os.Stderr, "%s cannot be released:\n%v\n", file, err)
			code = 1
		}
	}
	os.Exit(code)
}
