// Package lives generates what users, operators and providers do to a sale in a random life of it,
// runs that in the deterministic world, and has the provider's books judge it. A seed is a life; a
// life is a program that can be written down, replayed and made shorter.
//
//	program.go   a life in words
//	words.go     what each word does
//	states.go    where a Charge can be when a word is played
//	generate.go  a seed → a program
//	run.go       a program → what was violated, and what was played in which state
//	lives.go     many lives, counted
package lives

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Step of a life: a word, played after a while, or just before a point that comes.
type Step struct {
	// After so long, counted from the step before.
	After time.Duration
	// At is the label of the point that it waits for; empty: it waits for none.
	// Skip as many points of that label first.
	At   string
	Skip int
	// Word of the table, or a kind of fault that befalls the point.
	Word string
}

func (s Step) String() string {
	switch {
	case s.At != "" && s.Skip > 0:
		return fmt.Sprintf("@%s+%d %s", s.At, s.Skip, s.Word)
	case s.At != "":
		return fmt.Sprintf("@%s %s", s.At, s.Word)
	case s.After > 0:
		return s.After.String() + " " + s.Word
	default:
		return s.Word
	}
}

// Program is one life.
type Program struct {
	Provider string
	// Amount chooses the payer's story by its last three digits.
	Amount string
	// Options: "two" processes, "eager" callbacks, callbacks "never", "broken": the account is not mended in the end,
	// "checked" by the rules of the CRDs, "production": real money, in a currency that is named.
	Options []string
	Steps   []Step
}

func (p Program) has(option string) bool { return slices.Contains(p.Options, option) }

// String is what Parse reads: "mtn 1909 two: apply; 30s cancel; @call status lost".
func (p Program) String() string {
	words := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		words[i] = s.String()
	}
	return strings.Join(append([]string{p.Provider, p.Amount}, p.Options...), " ") + ": " + strings.Join(words, "; ")
}

// Parse reads a program.
func Parse(text string) (Program, error) {
	head, rest, found := strings.Cut(text, ":")
	fields := strings.Fields(head)
	if !found || len(fields) < 2 {
		return Program{}, fmt.Errorf("%q does not begin with provider, amount and a colon", text)
	}
	p := Program{Provider: fields[0], Amount: fields[1], Options: fields[2:]}
	for part := range strings.SplitSeq(rest, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		s, err := parseStep(part)
		if err != nil {
			return Program{}, err
		}
		p.Steps = append(p.Steps, s)
	}
	return p, nil
}

func parseStep(text string) (Step, error) {
	var s Step
	if label, ok := strings.CutPrefix(text, "@"); ok {
		at := strings.LastIndexByte(label, ' ')
		if at < 0 {
			return s, fmt.Errorf("%q names no word", text)
		}
		s.At, s.Word = label[:at], label[at+1:]
		if name, skip, ok := strings.Cut(s.At, "+"); ok {
			n, err := strconv.Atoi(skip)
			if err != nil {
				return s, fmt.Errorf("%q: how many to skip: %w", text, err)
			}
			s.At, s.Skip = name, n
		}
	} else if after, word, ok := strings.Cut(text, " "); ok {
		d, err := time.ParseDuration(after)
		if err != nil {
			return s, fmt.Errorf("%q: %w", text, err)
		}
		s.After, s.Word = d, word
	} else {
		s.Word = text
	}
	if _, known := table()[s.Word]; !known && (s.At == "" || !isFault(s.Word)) {
		return s, fmt.Errorf("%q is no word", s.Word)
	}
	return s, nil
}
