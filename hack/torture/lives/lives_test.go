package lives

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/controllers/testworld"
)

func TestGenerate_MakesTheSameProgramOfASeedAndItCanBeWrittenDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		p := Generate(seed)
		if again := Generate(seed); again.String() != p.String() {
			t.Fatalf("%s, then %s", p, again)
		}
		if read, err := Parse(p.String()); err != nil || read.String() != p.String() {
			t.Fatalf("%s was read as %s: %v", p, read, err)
		}
	})
}

func TestGenerate_LeadsToEveryPairAtEveryProvider(t *testing.T) {
	led := map[string]bool{}
	for seed := uint64(0); seed < uint64(6*len(Pairs())); seed += 2 {
		provider, pair := target(seed)
		led[provider+pair.String()] = true
	}
	if want := 3 * len(Pairs()); len(led) != want {
		t.Errorf("%d of %d", len(led), want)
	}
}

func TestParse_RefusesWhatIsNoProgram(t *testing.T) {
	for _, text := range []string{"", "mtn", "mtn: apply", "mtn 1909 apply", "mtn 1909: sleep", "mtn 1909: soon apply", "mtn 1909: @call status", "mtn 1909: @call status+x lost", "mtn 1909: lost"} {
		if p, err := Parse(text); err == nil {
			t.Errorf("%q is %s", text, p)
		}
	}
}

func TestRun_IsTheSameEachTime(t *testing.T) {
	for seed := range uint64(20) {
		p := Generate(seed)
		first, err := Run(testworld.NewShared(), p, true, false)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Run(testworld.NewShared(), p, true, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(first.Violations) > 0 || first.Lived == 0 || !slices.Equal(first.Trace, again.Trace) || !slices.Equal(first.Played, again.Played) {
			t.Errorf("%s: violated %v; lived %v, then %v", p, first.Violations, first.Lived, again.Lived)
		}
	}
}

func TestRun_PlaysAWordInTheStateThatTheLifeWasLedTo(t *testing.T) {
	for text, want := range map[string]Pair{
		"mtn 2901: apply; 2m refund":                         {"refund", Paid},
		"orange 1908: apply; 16m settle-paid":                {"settle-paid", Unknown},
		"wave 1909: apply; 1s other-installation; 3s touch":  {"touch", Foreign},
		"orange 1909: @call initiate lost; apply; 1s cancel": {"cancel", Open},
		"mtn 1909: @call status delete; apply; 5m touch":     {"delete", Taken},
	} {
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(testworld.NewShared(), p, false, false)
		if err != nil || !slices.Contains(r.Played, want) {
			t.Errorf("%s: %v, %v", text, r.Played, err)
		}
	}
}

func TestShrink_DropsWhatTheViolationDoesNotNeed(t *testing.T) {
	p, err := Parse("mtn 1909 two never: apply; 1s touch; 2s cancel")
	if err != nil {
		t.Fatal(err)
	}
	smaller := smallerThan(p)
	if len(smaller) != 3+2+2 {
		t.Errorf("%d lives are smaller by one thing", len(smaller))
	}
	for _, q := range smaller {
		if len(q.String()) >= len(p.String()) {
			t.Errorf("%s is not smaller than %s", q, p)
		}
	}
}

func TestUnplayed_NamesWordsThatThereAre(t *testing.T) {
	for _, u := range unplayed {
		for _, word := range u.words {
			if table()[word] == nil || u.why == "" || len(u.in)+len(u.butIn) == 0 {
				t.Errorf("%s: %q in %v, but in %v", word, u.why, u.in, u.butIn)
			}
		}
	}
	if whyUnplayed(Pair{"lose-charge", None}) == "" || whyUnplayed(Pair{"confirm", Paid}) == "" || whyUnplayed(Pair{"confirm", Refunding}) != "" || whyUnplayed(Pair{"pay", None}) != "" {
		t.Error("other pairs need not be played")
	}
}
