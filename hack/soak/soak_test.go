package main

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	ctrl "sigs.k8s.io/controller-runtime"

	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/providers/simulator"
)

func TestMain(m *testing.M) {
	// The soak starts a copy of this program to clear up after it.
	if guard, err := process.AsGuard(); guard {
		if err != nil {
			os.Exit(process.ExitFailed)
		}
		return
	}
	os.Exit(m.Run())
}

// A short night, with everything that a long one has: of each a little.
func TestSoak(t *testing.T) {
	g := NewWithT(t)
	ctrl.SetLogger(logr.Discard())
	root, err := testenv.ModuleRoot()
	g.Expect(err).NotTo(HaveOccurred())
	dir := t.TempDir()
	o := options{
		payments: 30, kills: 2, splits: 1, restarts: 1, duration: 8 * time.Minute, speed: 60, seed: 1,
		manager: filepath.Join(dir, "manager"), out: dir,
	}
	g.Expect(process.BuildManager(t.Context(), root, o.manager)).To(Succeed())
	r, err := soak(t.Context(), o, t.Logf)
	g.Expect(err).NotTo(HaveOccurred())
	t.Log(r.summary(o))
	g.Expect(r.wrong(o)).To(BeEmpty())
	g.Expect(r.Charges).To(BeNumerically(">", 0))
	g.Expect(r.Versions).To(BeNumerically(">", 2*o.payments))
}

// A seed tells the whole plan, no two sales look alike to a provider, and every story
// and everything that shops do comes up.
func TestPlan(t *testing.T) {
	g := NewWithT(t)
	shops := []string{"a", "b"}
	sales := plan(7, 2100, 1700, shops)
	g.Expect(plan(7, 2100, 1700, shops)).To(Equal(sales))
	g.Expect(plan(8, 2100, 1700, shops)).NotTo(Equal(sales))

	amounts, told := map[int64]bool{}, map[string]bool{}
	done := map[string]int{}
	for _, s := range sales {
		g.Expect(amounts[s.amount]).To(BeFalse(), "%d comes twice", s.amount)
		amounts[s.amount] = true
		told[s.provider+string(rune(s.amount%1000))] = true
		g.Expect(s.payer == paysLate || s.payer == comesLate).To(Or(BeFalse(), Equal(s.number <= 1700)))
		g.Expect(s.timeout).To(BeNumerically(">=", shortest))
		for what, is := range map[string]bool{
			"together": s.together, "twin": s.twin, "churn": s.churn > 0, "gone": s.gone, "cancel": s.cancel,
			"whole": s.refund == refundWhole, "parts": s.refund == refundParts,
			string(s.payer): true,
		} {
			if is {
				done[what]++
			}
		}
	}
	g.Expect(done).To(HaveLen(7 + 4))
	for _, st := range stories() {
		for _, p := range st.only {
			g.Expect(told[p+string(rune(st.code))]).To(BeTrue(), "%s %d is never told", p, st.code)
		}
	}
	for _, p := range []string{"mtn", "orange", "wave"} {
		g.Expect(told[p+string(rune(921))]).To(BeTrue())
	}
}

// Every code but the plain one is one of the simulator's.
func TestStoriesAreMagic(t *testing.T) {
	magic := map[string]bool{}
	for _, m := range simulator.MagicTable() {
		magic[m.Code] = true
	}
	for _, s := range stories() {
		code := string([]byte{byte('0' + s.code/100), byte('0' + s.code/10%10), byte('0' + s.code%10)})
		NewWithT(t).Expect(magic[code]).To(Equal(s.code != plain), code)
	}
}

// Of the three parts that a shop wants back, two fit into what was paid.
func TestPart(t *testing.T) {
	for _, amount := range []int64{3901, 50500, 2_100_907} {
		g := NewWithT(t)
		g.Expect(2 * part(amount)).To(BeNumerically("<=", amount))
		g.Expect(3*part(amount)).To(BeNumerically(">", amount), "%d", amount)
		g.Expect(part(amount) % 1000).To(BeNumerically("==", plain))
	}
}

func TestAgenda(t *testing.T) {
	g := NewWithT(t)
	deeds := agenda(rand.New(rand.NewPCG(1, 1)), 50, 5, 2)
	count := map[deed]int{}
	for _, d := range deeds {
		count[d]++
	}
	g.Expect(count[killAny] + count[killLeader] + 2*count[killBoth]).To(BeNumerically(">", 50))
	g.Expect(count[split]).To(BeNumerically(">", 5))
	g.Expect(count[restart]).To(Equal(2))
}

func TestAlive(t *testing.T) {
	sessions := []simulator.Session{
		{State: "open", Expires: noon.Add(time.Second)},
		{State: "confirming", Expires: noon.Add(time.Second)},
		{State: "open", Expires: noon.Add(-time.Second)}, // a prompt that never runs out
		{State: "paid", Expires: noon.Add(time.Second)},
		{State: "lapsed", Expires: noon.Add(-time.Second)},
	}
	NewWithT(t).Expect(alive(sessions, noon)).To(Equal(2))
}

func good() report {
	at := needs{Goroutines: 100, Heap: 10 << 20}
	return report{Payments: 2000, Kills: 50, Splits: 5, Restarts: 2, Before: resting{at, at}, After: resting{at, at}}
}

func TestWrong(t *testing.T) {
	o, err := parse(nil, io.Discard)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	tests := map[string]struct {
		change func(*report)
		wrong  string
	}{
		"nothing":             {change: func(*report) {}},
		"too few payments":    {func(r *report) { r.Payments = 1999 }, "1999 payments"},
		"too few kills":       {func(r *report) { r.Kills = 49 }, "49 kills"},
		"too few splits":      {func(r *report) { r.Splits = 4 }, "4 splits"},
		"too few restarts":    {func(r *report) { r.Restarts = 1 }, "1 restarts"},
		"a violation":         {func(r *report) { r.Violations = []string{"charged 2 times"} }, "charged 2 times"},
		"cut short":           {func(r *report) { r.Cut = true }, "time was over"},
		"goroutines left":     {func(r *report) { r.After.Leader.Goroutines = 141 }, "141 goroutines"},
		"of the standby":      {func(r *report) { r.After.Standby.Goroutines = 141 }, "the standby has 141"},
		"memory that is kept": {func(r *report) { r.After.Leader.Heap = 10<<20 + moreHeap + 2000*heapPerPayment + 1 }, "kB of heap"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, r := NewWithT(t), good()
			tt.change(&r)
			r.compare()
			if tt.wrong == "" {
				g.Expect(r.wrong(o)).To(BeEmpty())
				return
			}
			g.Expect(r.wrong(o)).To(ConsistOf(ContainSubstring(tt.wrong)))
		})
	}
}

// The report is whole, and its lists are lists even if they are empty.
func TestReport(t *testing.T) {
	g, r, dir := NewWithT(t), good(), t.TempDir()
	g.Expect(r.write(dir)).To(Succeed())
	content, err := os.ReadFile(filepath.Join(dir, "report.json"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, key := range []string{
		`"payments": 2000,`, `"kills": 50,`, `"splits": 5,`, `"restarts": 2,`, `"double_charges": 0,`, `"lost_outcomes": 0,`,
		`"false_successes": 0,`, `"violations": []`,
	} {
		g.Expect(string(content)).To(ContainSubstring(key))
	}
	g.Expect(r.summary(options{})).To(HaveSuffix("double_charges=0 lost_outcomes=0 false_successes=0\n"))
}
