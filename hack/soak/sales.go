package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// sale is one thing that a shop sells, and all that happens around it. It follows from seed and number alone.
type sale struct {
	number    int
	namespace string
	name      string
	provider  string
	// amount is like that of no other sale, so that the provider's books can be told apart without
	// any word of the operator's. Its last three digits are the story that the simulator plays.
	amount  int64
	timeout int32

	payer conduct
	// after is how long the payer takes.
	after time.Duration

	// together: two clients apply the manifest at once.
	together bool
	// churn is how often the Payment is deleted and applied again.
	churn int
	// gone: it is deleted for good, on the way.
	gone bool
	// cancel: the merchant calls it off.
	cancel bool
	// refunds, once it is paid: one of all of it, or three parts at once.
	refunds int
	// pause before each of these.
	pause time.Duration

	// acknowledged: the API server took the Payment.
	acknowledged bool
}

type conduct string

const (
	// opens the page; the amount tells the rest.
	opens conduct = "opens"
	// pays by hand, after a while.
	pays conduct = "pays"
	// paysLate: when the operator does not expect it any more (MTN).
	paysLate conduct = "pays late"
	// comesLate: when the provider does not take it any more (Orange).
	comesLate conduct = "comes late"
)

func (s *sale) key() key { return key{s.namespace, s.name} }

// order number of the merchant, which two sales share: it identifies none.
func (s *sale) order() string { return "order-" + strconv.Itoa(s.number/2) }

type story struct {
	code   int64
	weight int
	payer  conduct
	// only at these providers; none: at all.
	only []string
	// shortest: the provider never decides, so that the time-out has to be short.
	shortest bool
}

const plain = 500 // no magic number

// stories are what befalls sales. Those in which a provider lies for ever (another amount, an unknown word, paid after
// a final no) have tests of their own: their right end is a question to a person, which no ledger can judge.
func stories() []story {
	mtn, orange, wave := []string{"mtn"}, []string{"orange"}, []string{"wave"}
	list := []story{
		{code: plain, weight: 300, payer: pays},
		{code: 901, weight: 300, payer: opens},
		{code: 902, weight: 120, payer: opens},
		{code: 903, weight: 70, payer: opens},
		{code: 904, weight: 40, payer: opens},
		{code: 906, weight: 40, payer: opens},
		{code: 907, weight: 12, payer: opens, shortest: true},
		{code: 907, weight: 30, payer: paysLate, only: mtn, shortest: true},
		{code: 909, weight: 15, payer: comesLate, only: orange},
		{code: 908, weight: 4, payer: opens, only: []string{"mtn", "wave"}, shortest: true},
		{code: 911, weight: 20, payer: opens, only: wave},
		{code: 967, weight: 10, payer: opens, only: wave},
		{code: 951, weight: 10, payer: opens, only: mtn},
		{code: 964, weight: 10, payer: opens, only: []string{"mtn", "wave"}, shortest: true},
		{code: 964, weight: 5, payer: comesLate, only: orange},
	}
	// Callbacks lost, doubled, ahead and late; found only after a while.
	for _, code := range []int64{961, 962, 963, 966, 941} {
		list = append(list, story{code: code, weight: 25, payer: opens})
	}
	// What befalls the request that opens the payment. 927 and 949 make a whole account
	// wait for seconds, so they are rare.
	for _, code := range []int64{921, 922, 923, 924, 926, 918, 928, 916, 929, 931, 937, 938, 932, 933, 934, 936, 917, 919} {
		list = append(list, story{code: code, weight: 9, payer: pays})
	}
	list = append(list, story{code: 927, weight: 2, payer: pays}, story{code: 949, weight: 1, payer: opens})
	for _, code := range []int64{913, 914, 939} {
		list = append(list, story{code: code, weight: 3, payer: pays, only: orange})
	}
	// What befalls the questions.
	for _, code := range []int64{952, 948, 953, 946, 954, 956, 947, 957, 958, 959} {
		list = append(list, story{code: code, weight: 7, payer: opens})
	}
	return list
}

const (
	shortest = 30 // seconds, what the API allows
	longest  = 90
)

// plan makes up n sales in shops. Only the first of them, so many, may be slow to end,
// so that the end of the run is not spent waiting.
func plan(seed uint64, n, slow int, shops []string) []sale {
	rng := rand.New(rand.NewPCG(seed, 1))
	byProvider := map[string][]story{}
	for _, s := range stories() {
		for _, p := range []string{"mtn", "orange", "wave"} {
			if len(s.only) == 0 || slices.Contains(s.only, p) {
				byProvider[p] = append(byProvider[p], s)
			}
		}
	}
	sales := make([]sale, n)
	for i := range sales {
		provider := []string{"mtn", "orange", "wave"}[i%3]
		sales[i] = newSale(rng, i+1, provider, draw(rng, byProvider[provider], i >= slow))
		sales[i].namespace = shops[rng.IntN(len(shops))]
	}
	return sales
}

// slow stories take as long as the shortest time-out.
func (s story) slow() bool { return s.shortest || s.payer == comesLate }

func draw(rng *rand.Rand, from []story, quick bool) story {
	total := 0
	for _, s := range from {
		total += s.weight
	}
	for {
		n := rng.IntN(total)
		for _, s := range from {
			if n -= s.weight; n < 0 {
				if quick && s.slow() {
					break
				}
				return s
			}
		}
	}
}

func newSale(rng *rand.Rand, number int, provider string, st story) sale {
	s := sale{
		number: number, name: fmt.Sprintf("%s-%d", provider, number), provider: provider,
		amount:  int64(number)*1000 + st.code,
		timeout: shortest + rng.Int32N(longest-shortest), payer: st.payer,
		after: time.Duration(rng.IntN(2000)) * time.Millisecond,
		pause: time.Duration(rng.IntN(3000)) * time.Millisecond,
	}
	switch {
	case st.shortest:
		s.timeout = shortest
	case provider == "mtn" && s.payer == pays:
		s.payer = opens // the prompt is there at once, and so is the payer
	}
	switch s.payer {
	case paysLate:
		s.after += (shortest + 2) * time.Second
	case comesLate:
		s.after += 32 * time.Second
	default:
	}
	switch n := rng.IntN(100); {
	case n < 9:
		s.together = true
	case n < 17:
		s.churn = 1 + rng.IntN(3)
	case n < 20:
		s.gone = true
	case n < 23:
		s.cancel = true
	case n < 30 && !st.shortest: // the refund would have the same story, and never end
		s.refunds = 1
	case n < 32 && provider == "mtn":
		s.refunds = 3
	}
	return s
}
