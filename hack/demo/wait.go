package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

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
