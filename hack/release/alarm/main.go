// Command alarm calls what db/ says is vulnerable.
package main

import "strings"

func main() { _ = strings.ToTitle("") }
