package lives

import (
	"flag"
	"fmt"
	"mobilemoney.dev/operator/controllers/testworld"
	"os"
	"testing"
)

var n = flag.Int("n", 300, "")
var from = flag.Uint64("from", 0, "")

func TestLives(t *testing.T) {
	r, err := Live(t.Context(), Options{Seed: *from, Lives: *n, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(r.Lives, r.Days, r.Pairs, len(r.Missing))
	told := map[string]int{}
	sh := testworld.NewShared()
	for _, f := range r.Violations {
		k := f.Kind()
		if told[k]++; told[k] > 1 {
			continue
		}
		p, _ := Parse(f.Program)
		q, _, err := Shrink(sh, p, f.Violation)
		fmt.Println(f.Seed, k, err, "\n    ", f.Program, "\n    ", q)
	}
	for k, v := range told {
		fmt.Println(v, k)
	}
}
func TestOne(t *testing.T) {
	s := os.Getenv("LIFE")
	if s == "" {
		return
	}
	p, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(testworld.NewShared(), p, true)
	for _, l := range r.Trace {
		fmt.Println(l)
	}
	fmt.Println(r.Violations, err)
}
