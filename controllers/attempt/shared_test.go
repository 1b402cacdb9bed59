package attempt

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/stub"
	"mobilemoney.dev/operator/providers"
)

// Who made the request that the provider has, and whether these credentials did.
func TestAttempt_WhoseRequest(t *testing.T) {
	send := v1alpha1.Send{Number: 1, Credentials: "mine"}
	for name, tt := range map[string]struct {
		a               v1alpha1.Attempt
		elsewhere, mine bool
	}{
		"no send":                  {v1alpha1.Attempt{}, true, true},
		"void sends":               {v1alpha1.Attempt{Sends: 2}, true, true},
		"open":                     {v1alpha1.Attempt{Sends: 1, Open: []v1alpha1.Send{send}}, false, true},
		"open, others' too":        {v1alpha1.Attempt{Sends: 2, Open: []v1alpha1.Send{send, {Number: 2, Credentials: "theirs"}}}, false, false},
		"refused":                  {v1alpha1.Attempt{Sends: 1, Refusal: &v1alpha1.Refusal{Send: send}}, false, true},
		"refused, others'":         {v1alpha1.Attempt{Sends: 1, Refusal: &v1alpha1.Refusal{Send: v1alpha1.Send{Credentials: "theirs"}}}, false, false},
		"taken":                    {v1alpha1.Attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1}}, false, true},
		"found":                    {v1alpha1.Attempt{Sends: 1, Taken: &v1alpha1.Taken{Found: true}}, true, true},
		"known at the first send":  {v1alpha1.Attempt{Sends: 1, Open: []v1alpha1.Send{send}, ReferenceKnown: true}, true, true},
		"known, and taken by tags": {v1alpha1.Attempt{Sends: 1, ReferenceKnown: true, Taken: &v1alpha1.Taken{}}, false, true},
	} {
		if got := MadeElsewhere(&tt.a); got != tt.elsewhere {
			t.Errorf("%s: made elsewhere: %t", name, got)
		}
		if got := SentWith(&tt.a, "mine"); got != tt.mine {
			t.Errorf("%s: sent with mine: %t", name, got)
		}
	}
}

// A reference that is known at the first send was an earlier life's, also where it cannot be asked about.
func TestAnswer_ReferenceKnownAtTheFirstSend(t *testing.T) {
	for name, askable := range map[string]bool{"askable": true, "not askable": false} {
		first := v1alpha1.Attempt{Sends: 1, Open: []v1alpha1.Send{{Number: 1}}}
		later := v1alpha1.Attempt{Sends: 2, Open: []v1alpha1.Send{{Number: 1}, {Number: 2}}}
		for a, known := range map[*v1alpha1.Attempt]bool{&first: true, &later: false} {
			answer := Answer{Send: v1alpha1.Send{Number: a.Sends}, Err: &providers.Error{Class: providers.ClassAlreadyExists}}
			answer.known(Sending{Rules: Rules{Askable: askable}}, time.Now())(a)
			if a.ReferenceKnown != known || (a.Unknown == nil) != askable {
				t.Errorf("%s, %d sends: %+v", name, a.Sends, a)
			}
		}
	}
}

// A person's word is asked on about, until the provider says something; that it still knows nothing is no word.
func TestEnded_AsksOnAboutAPersonsWord(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := metav1.NewMicroTime(now.Add(-time.Hour))
	failed := v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonProviderRefused, At: metav1.NewMicroTime(now)}
	for name, tt := range map[string]struct {
		settledBy string
		folds     []Fold
		asks      bool
	}{
		"told by the provider":             {"", nil, false},
		"still nothing known":              {"", []Fold{FoldStillEnded(now)}, false},
		"settled":                          {"awa", nil, true},
		"settled, still nothing known":     {"awa", []Fold{FoldStillEnded(now), FoldStillEnded(now)}, true},
		"settled, then told":               {"awa", []Fold{FoldOutcome(failed)}, false},
		"settled, nothing known, and told": {"awa", []Fold{FoldStillEnded(now), FoldOutcome(failed)}, false},
	} {
		a := &v1alpha1.Attempt{Sends: 1, Outcome: &v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonNotRefunded, SettledBy: tt.settledBy, At: at}}
		for _, fold := range tt.folds {
			fold(a)
		}
		f := Facts{Now: now, Settings: DefaultSettings(), Attempt: a, Usable: true, Interval: time.Minute}
		if d := Decide(f); (d.Action == Ask) != tt.asks {
			t.Errorf("%s: %+v, later %+v", name, d, a.Later)
		}
		if len(tt.folds) > 0 && a.Later == nil {
			t.Errorf("%s: nothing was kept", name)
		}
	}
}

func TestDecision_FoldAndAgain(t *testing.T) {
	now, s := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), DefaultSettings()
	refused := v1alpha1.Attempt{Sends: 1, Refusal: &v1alpha1.Refusal{Reason: v1alpha1.ReasonInsufficientFunds, Code: "X"}}
	for action, recorded := range map[Action]func(*v1alpha1.Attempt) bool{
		Conclude: func(a *v1alpha1.Attempt) bool { return a.Outcome != nil && a.Outcome.Code == "X" },
		GiveUp:   func(a *v1alpha1.Attempt) bool { return a.Unknown != nil && a.Unknown.Reason == "why" },
		Note:     func(a *v1alpha1.Attempt) bool { return a.Notice != nil && a.Notice.Reason == "why" },
	} {
		a := refused
		if fold := (Decision{Action: action, Phase: v1alpha1.PhaseFailed, Reason: "why"}).Fold(&refused, now); !fold(&a) || !recorded(&a) {
			t.Errorf("%s: %+v", action, a)
		}
	}
	if (Decision{Action: Ask}).Fold(&refused, now) != nil {
		t.Error("a question records nothing by itself")
	}
	wait := Decision{Action: Wait, After: time.Minute}
	for name, tt := range map[string]struct {
		d         Decision
		wait, age time.Duration
		want      time.Duration
	}{
		"a limit":    {Decision{Action: Ask}, 3 * time.Second, 0, 3 * time.Second},
		"at once":    {Decision{Action: Ask}, 0, time.Hour, time.Millisecond},
		"as decided": {wait, 0, 0, time.Minute},
		"young":      {wait, 0, time.Second, s.RetryMin},
		"older":      {wait, 0, 2 * time.Minute, 30 * time.Second},
		"old":        {wait, 0, time.Hour, time.Minute},
	} {
		if got := tt.d.Again(tt.wait, tt.age, s); got != tt.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Each remembers another failure, and sees what the other one wrote.
func TestObservationTold_K6bTwoProcessesComeToRest(t *testing.T) {
	remembers := func(text string) Observation {
		return Observation{Unsent: 1, Notice: &v1alpha1.Notice{Reason: v1alpha1.ReasonAccountMisconfigured, Message: text}}
	}
	text := func(n v1alpha1.Notice) string { return n.Message }
	var shown []metav1.Condition
	writes := 0
	for run := range 10 {
		p := []Observation{remembers("token"), remembers("initiate")}[run%2].Told(run < 2, shown, text)
		if p == nil {
			t.Fatal("nothing is told")
		}
		if len(shown) == 0 || shown[0].Message != p.Message {
			writes++
		}
		shown = []metav1.Condition{{Type: v1alpha1.ConditionSucceeded, Reason: p.Reason, Message: p.Message}}
	}
	if writes != 2 {
		t.Errorf("%d writes", writes)
	}
	shown[0].Reason = v1alpha1.ReasonAccepted
	if p := remembers("token").Told(false, shown, text); p == nil || p.Message != "token" {
		t.Errorf("until it is made, it is told: %+v", p)
	}
}

func TestTold_OnceAndNeverOverTheCharge(t *testing.T) {
	var told Told
	if told.Once("a", true) || !told.Once("a", false) || told.Once("a", false) || !told.Once("b", false) {
		t.Error("told otherwise than once")
	}
}

func TestBacklog_UnbegunFirst(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b := fake.NewClientBuilder().WithScheme(scheme)
	if err := SetupIndexes(t.Context(), indexer{b}); err != nil {
		t.Fatal(err)
	}
	over, ended := stub.New(func(p *v1alpha1.Payment) bool { return p.Status.Phase.Terminal() }, Over, never), &v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed}
	for name, phase := range map[string]v1alpha1.Phase{"new": "", "open": v1alpha1.PhaseProcessing, "over": v1alpha1.PhaseFailed} {
		p, _ := over.Payment(&v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1alpha1.PaymentStatus{Phase: phase}})
		b.WithObjects(p.(*v1alpha1.Payment))
	}
	c, _ := over.Charge(&v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "charge-over"}, Record: v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{Outcome: ended}}})
	b.WithObjects(&v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "charge"}}, c.(*v1alpha1.Charge))
	unasked := func(o runtime.Object) bool { return o.(*v1alpha1.Payment).Status.Phase == "" }
	ofCharge := func(c *v1alpha1.Charge) (out []reconcile.Request) {
		out = make([]reconcile.Request, 1)
		out[0].Name = c.Name
		return out
	}
	unbegun, rest, err := Backlog(context.Background(), b.Build(), &v1alpha1.PaymentList{}, unasked, ofCharge)
	if err != nil || len(unbegun) != 1 || unbegun[0].Name != "new" || len(rest) != 2 || rest[0].Name != "open" || rest[1].Name != "charge" {
		t.Errorf("%v, %v, %v", unbegun, rest, err)
	}
}

func TestEachPart_HoldsEveryCharge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := installation.Installation{}.ChargeName(rapid.String().Draw(t, "namespace"), rapid.String().Draw(t, "name"))
		if strings.Count(parts, name[len(name)-1:]) != 1 {
			t.Fatalf("%s is in no part", name)
		}
	})
}

func never(*v1alpha1.Charge) time.Time { return time.Time{} }

// indexer adds indexes to a cache in memory.
type indexer struct{ *fake.ClientBuilder }

func (i indexer) IndexField(_ context.Context, o client.Object, field string, extract client.IndexerFunc) error {
	i.WithIndex(o, field, extract)
	return nil
}
