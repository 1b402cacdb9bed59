package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
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
			"together": s.together, "churn": s.churn > 0, "gone": s.gone, "cancel": s.cancel,
			"whole": s.refunds == 1, "parts": s.refunds == 3,
			string(s.payer): true,
		} {
			if is {
				done[what]++
			}
		}
	}
	g.Expect(done).To(HaveLen(6 + 4))
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

func TestAlive(t *testing.T) {
	var sessions []simulator.Session
	for state, left := range map[string]time.Duration{"open": 1, "confirming": 1, "open for ever": -1, "paid": 1, "lapsed": -1} {
		state, _, _ = strings.Cut(state, " ")
		sessions = append(sessions, simulator.Session{State: state, Expires: noon.Add(left)})
	}
	NewWithT(t).Expect(alive(sessions, noon)).To(Equal(2))
}

var floors = report{Payments: 2000, Kills: 50, Splits: 5, Restarts: 2}

func TestWrong(t *testing.T) {
	o, err := parse(nil, io.Discard)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for wrong, change := range map[string]func(r *report, after *needs){
		"":               func(*report, *needs) {},
		"1999 payments":  func(r *report, _ *needs) { r.Payments = 1999 },
		"49 kills":       func(r *report, _ *needs) { r.Kills = 49 },
		"4 splits":       func(r *report, _ *needs) { r.Splits = 4 },
		"1 restarts":     func(r *report, _ *needs) { r.Restarts = 1 },
		"charged twice":  func(r *report, _ *needs) { r.Violations = []string{"charged twice"} },
		"time was over":  func(r *report, _ *needs) { r.Cut = true },
		"141 goroutines": func(_ *report, after *needs) { after.goroutines = 141 },
		"kB of heap":     func(_ *report, after *needs) { after.heap = 10<<20 + moreHeap + 2000*heapPerPayment + 1 },
	} {
		g, r := NewWithT(t), floors
		before := needs{goroutines: 100, heap: 10 << 20}
		after := before
		change(&r, &after)
		r.compare(before, after)
		if wrong != "" {
			g.Expect(r.wrong(o)).To(ConsistOf(ContainSubstring(wrong)))
		} else {
			g.Expect(r.wrong(o)).To(BeEmpty())
		}
	}
}

// The report is whole, and its lists are lists even if they are empty.
func TestReport(t *testing.T) {
	g, r, dir := NewWithT(t), floors, t.TempDir()
	g.Expect(r.write(dir)).To(Succeed())
	content, err := os.ReadFile(filepath.Join(dir, "report.json"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, key := range []string{
		`"payments": 2000,`, `"kills": 50,`, `"splits": 5,`, `"restarts": 2,`, `"double_charges": 0,`, `"lost_outcomes": 0,`,
		`"false_successes": 0,`, `"over_refunds": 0,`, `"violations": []`,
	} {
		g.Expect(string(content)).To(ContainSubstring(key))
	}
	g.Expect(r.summary(options{})).To(HaveSuffix("double_charges=0 lost_outcomes=0 false_successes=0 over_refunds=0\n"))
}
