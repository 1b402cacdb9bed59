package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld/judge"
	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/providers"
)

const (
	samples   = "config/samples"
	lookEvery = 250 * time.Millisecond
)

// perform applies the samples, shows how they go, and judges how they ended.
func (s *stage) perform(ctx context.Context) error {
	s.announce("applying " + samples + " as a user who may create Payments in namespace " + s.shop.Namespace + ", and watching")
	objects, err := s.Env.ReadManifests(samples)
	if err != nil {
		return err
	}
	sales := shop.OnlyKind(objects, "Payment")
	c, err := s.applyAs(ctx, clerk, sales)
	if err != nil {
		return err
	}
	var payments []v1alpha1.Payment
	table, began := newTable(s.out), time.Now()
	err = s.watch(ctx, func() (bool, error) {
		payments, err = readAll[v1alpha1.Payment](ctx, c, sales)
		table.show(time.Since(began), rowsOf(payments))
		return allFinished(payments), err
	})
	if err != nil {
		return err
	}
	if err := s.conclude(payments); err != nil {
		return err
	}
	return s.giveBack(ctx, shop.OnlyKind(objects, "Refund"))
}

// applyAs applies objects as a user, and returns the user's client.
func (s *stage) applyAs(ctx context.Context, user string, objects []*unstructured.Unstructured) (client.Client, error) {
	cfg, err := s.Env.ConfigFor(user)
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: s.Env.Scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", user, err)
	}
	for _, o := range objects {
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("demo")); err != nil {
			return nil, fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	s.out.printf("\n")
	return c, nil
}

// watch looks again and again until everything is over, or time is.
func (s *stage) watch(ctx context.Context, look func() (over bool, err error)) error {
	began, tick := time.Now(), time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if over, err := look(); over || err != nil || time.Since(began) > s.timeout {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.manager.Done():
			return s.manager.Ended()
		case <-tick.C:
		}
	}
}

func readAll[T any, P interface {
	*T
	client.Object
}](ctx context.Context, c client.Client, objects []*unstructured.Unstructured) ([]T, error) {
	all := make([]T, len(objects))
	for i, o := range objects {
		if err := c.Get(ctx, client.ObjectKeyFromObject(o), P(&all[i])); err != nil {
			return nil, fmt.Errorf("reading %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return all, nil
}

func rowsOf(payments []v1alpha1.Payment) []row {
	rows := make([]row, 0, len(payments))
	for i := range payments {
		p := &payments[i]
		rows = append(rows, row{p.Spec.Provider, p.Name, p.Spec.Amount.String(), string(p.Status.Phase), shop.ReasonOf(p)})
	}
	return rows
}

func allFinished(payments []v1alpha1.Payment) bool {
	return !slices.ContainsFunc(payments, func(p v1alpha1.Payment) bool {
		return !meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionFinished)
	})
}

// annotationBack is how much has to be given back, by the simulator's ledger.
const annotationBack = "demo.mobilemoney.dev/gives-back"

// giveBack applies the sample Refunds as who may create them, waits until nothing
// more happens by itself, and judges how they stand.
func (s *stage) giveBack(ctx context.Context, objects []*unstructured.Unstructured) error {
	s.announce("giving three of them back, as a user who may create Refunds")
	c, err := s.applyAs(ctx, refunder, objects)
	if err != nil {
		return err
	}
	var refunds []v1alpha1.Refund
	err = s.watch(ctx, func() (bool, error) {
		refunds, err = readAll[v1alpha1.Refund](ctx, c, objects)
		return allSettled(refunds), err
	})
	if err != nil {
		return err
	}
	return s.concludeRefunds(refunds)
}

// allSettled: each is over, or waits for a person.
func allSettled(refunds []v1alpha1.Refund) bool {
	return !slices.ContainsFunc(refunds, func(r v1alpha1.Refund) bool {
		return !r.Status.Phase.Terminal() && r.Status.Phase != v1alpha1.RefundManualActionRequired
	})
}

// judgeRefund compares how r stands with what its sample says, and with what the
// ledger says was given back of its payment.
func judgeRefund(r *v1alpha1.Refund, back string) verdict {
	var v verdict
	v.expect("phase", string(r.Status.Phase), r.Annotations[annotationEnd])
	if want := r.Annotations[annotationBack]; providers.CompareAmounts(back, want) != 0 {
		v.fault("%s were given back, its sample says %s", back, want)
	}
	return v
}

func (s *stage) concludeRefunds(refunds []v1alpha1.Refund) error {
	wrong := 0
	for i := range refunds {
		r := &refunds[i]
		var p v1alpha1.Payment
		key := client.ObjectKey{Namespace: s.shop.Namespace, Name: r.Spec.PaymentRef.Name}
		if err := s.Env.Client().Get(context.Background(), key, &p); err != nil {
			return fmt.Errorf("reading Payment %s: %w", key.Name, err)
		}
		back := s.Sim.RefundedAmount(p.Status.ProviderReference)
		v := judgeRefund(r, back)
		v.rules(judge.BookOf(p.Status.ProviderReference, s.Sim.Ledger(), nil, nil).OverRefund())
		wrong += s.tell(v, "%-20s  %-42s  %s of %s given back", r.Name, r.Status.Phase, back, p.Status.Amount)
	}
	s.out.printf("\nAll of it took %.0f s.\n", time.Since(s.began).Seconds())
	if wrong > 0 {
		return fmt.Errorf("%d refunds are not as they should be", wrong)
	}
	return nil
}

// guide is what a person needs who has it all running.
const guide = `
Everything runs. In another terminal:

    export KUBECONFIG={{.Kubeconfig}}
    export PATH={{.Bin}}:$PATH

    kubectl apply -f - <<EOF
    apiVersion: mobilemoney.dev/v1alpha1
    kind: Payment
    metadata: {name: order-1042, namespace: {{.Shop}}}
    spec:
      provider: mtn
      amount: 5000
      phone: "+2250501020304"
    EOF
    kubectl get pay -A -w
    kubectl wait -n {{.Shop}} pay/order-1042 --for=condition=Finished --timeout=5m

You are the payer, too. This page shows what waits for one, to approve, refuse or ignore:

    {{.Simulator}}/

{{if .ByHand}}Nobody pays but you.
{{- else}}An MTN payer approves after 5 seconds; make run ARGS='-payer manual' waits for you.
{{- end}}
With provider orange or wave, the payer opens the payment page; a shop sends its customer there:

    kubectl get pay -n {{.Shop}} order-1042 -o jsonpath='{.status.nextAction.url}{"\n"}'

The last three digits of an amount can tell another story (5903: refused, 5961: the
callback is lost, 5921: the answer is lost). All of them, and who was charged:

    curl {{.Simulator}}/admin/magic
    curl {{.Simulator}}/admin/ledger

Twelve payments that end in every way, as in make demo:

    kubectl apply -f {{.Samples}}

The manager's log is {{.Log}}
{{if eq .Speed 1.0}}Payers and sessions take their real time; make run ARGS='-speed 25' is 25 times as fast.
{{- else}}Payers and sessions are {{.Speed}} times as fast as real ones.{{end}}
Ctrl-C stops all of it and leaves nothing behind.
`

// whereabouts is what a program needs who has it all running.
type whereabouts struct {
	Kubeconfig   string `json:"kubeconfig"`
	Kubectl      string `json:"kubectl"`
	Namespace    string `json:"namespace"`
	SimulatorURL string `json:"simulatorURL"`
	Log          string `json:"log"`
}

// tellReady writes the ready file, which is never there half.
func (s *stage) tellReady(kubeconfig string) error {
	if s.readyFile == "" {
		return nil
	}
	content, err := json.Marshal(whereabouts{kubeconfig, s.Env.Kubectl(), s.shop.Namespace, s.Sim.URL(), s.manager.Log()})
	if err != nil {
		return fmt.Errorf("writing the ready file: %w", err)
	}
	draft := s.readyFile + ".new"
	if err := os.WriteFile(draft, content, 0o600); err != nil {
		return fmt.Errorf("writing the ready file: %w", err)
	}
	return os.Rename(draft, s.readyFile)
}

// wait leaves everything to a person until ctx is over.
func (s *stage) wait(ctx context.Context) error {
	kubeconfig, err := s.Kubeconfig("kubeconfig", s.Env.AdminConfig())
	if err != nil {
		return err
	}
	t, err := template.New("guide").Parse(guide)
	if err != nil {
		return err
	}
	var text strings.Builder
	err = t.Execute(&text, map[string]any{
		"Kubeconfig": kubeconfig,
		"Bin":        filepath.Dir(s.Env.Kubectl()),
		"Shop":       s.shop.Namespace,
		"Simulator":  s.Sim.URL(),
		"Samples":    filepath.Join(s.Env.Root, samples),
		"Log":        s.manager.Log(),
		"Speed":      s.speed,
		"ByHand":     s.byHand,
	})
	if err != nil {
		return err
	}
	s.out.printf("%s", text.String())
	if err := s.tellReady(kubeconfig); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.manager.Done():
		return s.manager.Ended()
	}
}
