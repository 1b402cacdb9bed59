package rbac

import (
	"context"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

// addEditor adds somebody who may edit Refunds by a role of their own, and not confirm.
func addEditor(ctx context.Context, g *WithT, env *testenv.Env) {
	editor := metav1.ObjectMeta{Namespace: shop, Name: "editor"}
	g.Expect(env.Client().Create(ctx, &rbacv1.Role{
		ObjectMeta: editor,
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"mobilemoney.dev"}, Resources: []string{"refunds"}, Verbs: []string{"get", "create", "update"}}},
	})).To(Succeed())
	g.Expect(env.Client().Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: editor,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "editor"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "editor"}},
	})).To(Succeed())
}

// unknown is what a person is asked to find out.
func unknown(id string) *v1alpha1.UnknownStatus {
	return &v1alpha1.UnknownStatus{ID: id, Since: metav1.Now(), Reason: v1alpha1.ReasonOutcomeUnknown}
}

func confirmedBy(user string) *v1alpha1.RefundConfirmation {
	return &v1alpha1.RefundConfirmation{UnknownID: "u1", Outcome: v1alpha1.ConfirmedRefunded, ConfirmedBy: user}
}

func testPolicies(t *testing.T, env *testenv.Env) {
	ctx := t.Context()
	addEditor(ctx, NewWithT(t), env)
	as := func(user string) client.Client { return as(NewWithT(t), env, user) }

	t.Run("a confirmation needs the verb and the own name", func(t *testing.T) {
		g := NewWithT(t)
		r := newRefund("back")
		g.Expect(as("refunder").Create(ctx, r)).To(Succeed())
		r.Status.Phase, r.Status.Unknown = v1alpha1.RefundManualActionRequired, unknown("u1")
		g.Expect(env.Client().Status().Update(ctx, r)).To(Succeed())
		// The policy takes a moment to be enforced.
		g.Eventually(func() error { return confirm(ctx, as("editor"), "back", "editor", client.DryRunAll) }, "30s").
			Should(MatchError(ContainSubstring(`the verb "confirm"`)))
		g.Expect(confirm(ctx, as("confirmer"), "back", "somebody else")).To(MatchError(ContainSubstring("your own user name, confirmer")))
		g.Expect(confirm(ctx, as("confirmer"), "back", "confirmer")).To(Succeed())
		g.Expect(confirm(ctx, as("confirmer"), "back", "another")).To(MatchError(ContainSubstring("cannot change or be taken back")))

		var stored v1alpha1.Refund
		g.Expect(as("confirmer").Get(ctx, client.ObjectKeyFromObject(r), &stored)).To(Succeed())
		stored.Labels = map[string]string{"note": "edited-later"}
		g.Expect(as("editor").Update(ctx, &stored)).To(Succeed())

		early := newRefund("early")
		early.Spec.Confirmation = confirmedBy("editor")
		g.Expect(as("editor").Create(ctx, early)).To(MatchError(ContainSubstring("create it without spec.confirmation")))
	})

	t.Run("a settlement needs the verb, the own name and phase Unknown", func(t *testing.T) {
		g := NewWithT(t)
		inPhase(ctx, g, env, "doubtful", v1alpha1.PhaseUnknown, "u1")
		g.Eventually(func() error { return settle(ctx, as("creator"), "doubtful", "creator", client.DryRunAll) }, "30s").
			Should(MatchError(ContainSubstring(`the verb "settle"`)))
		g.Expect(settle(ctx, as("settler"), "doubtful", "somebody else")).To(MatchError(ContainSubstring("your own user name, settler")))
		g.Expect(settle(ctx, as("settler"), "doubtful", "settler")).To(Succeed())
		g.Expect(settle(ctx, as("settler"), "doubtful", "another")).To(MatchError(ContainSubstring("cannot change or be taken back")))
		for _, phase := range []v1alpha1.Phase{v1alpha1.PhasePending, v1alpha1.PhaseProcessing, v1alpha1.PhaseFailed} {
			name := "is-" + strings.ToLower(string(phase))
			inPhase(ctx, g, env, name, phase, "")
			g.Expect(settle(ctx, as("settler"), name, "settler")).To(MatchError(ContainSubstring("only a Payment in phase Unknown")))
		}

		var stored v1alpha1.Payment
		g.Expect(as("creator").Get(ctx, client.ObjectKey{Namespace: shop, Name: "doubtful"}, &stored)).To(Succeed())
		stored.Labels = map[string]string{"note": "edited-later"}
		g.Expect(as("creator").Update(ctx, &stored)).To(Succeed())

		early := newPayment("early")
		early.Spec.Settlement = settledBy("admin")
		g.Expect(env.Client().Create(ctx, early)).To(MatchError(ContainSubstring("create it without spec.settlement")))
	})

	t.Run("what comes with a restore is let in and is no way around", func(t *testing.T) {
		g := NewWithT(t)
		p, r := newPayment("restored"), newRefund("restored")
		p.Labels, r.Labels = map[string]string{v1alpha1.LabelRestore: "backup-1"}, map[string]string{v1alpha1.LabelRestore: "backup-1"}
		p.Spec.Settlement, r.Spec.Confirmation = settledBy("awa"), confirmedBy("awa")
		g.Expect(as("creator").Create(ctx, p)).To(Succeed())
		g.Expect(as("editor").Create(ctx, r)).To(Succeed())
		p.Labels["note"], r.Labels["note"] = "edited-later", "edited-later"
		g.Expect(as("creator").Update(ctx, p)).To(Succeed())
		g.Expect(as("editor").Update(ctx, r)).To(Succeed())
		p.Labels, r.Labels = nil, nil
		g.Expect(as("creator").Update(ctx, p)).To(MatchError(ContainSubstring(`the verb "settle"`)))
		g.Expect(as("editor").Update(ctx, r)).To(MatchError(ContainSubstring(`the verb "confirm"`)))
	})

	// K4b, K4c: neither the label nor an old settlement lets in a new one.
	t.Run("a settlement that is replaced or planted needs the verb", func(t *testing.T) {
		g := NewWithT(t)
		p := inPhase(ctx, g, env, "planted", v1alpha1.PhaseUnknown, "u1")
		p.Labels = map[string]string{v1alpha1.LabelRestore: "backup-1"}
		p.Spec.Settlement = settledBy("settler")
		g.Expect(as("creator").Update(ctx, p.DeepCopy())).To(MatchError(ContainSubstring(`the verb "settle"`)))

		p = inPhase(ctx, g, env, "replaced", v1alpha1.PhaseUnknown, "u1")
		g.Expect(settle(ctx, as("settler"), "replaced", "settler")).To(Succeed())
		g.Expect(env.Client().Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
		p.Status.Unknown = unknown("u2")
		g.Expect(env.Client().Status().Update(ctx, p)).To(Succeed())
		p.Spec.Settlement.UnknownID = "u2"
		g.Expect(as("creator").Update(ctx, p.DeepCopy())).To(MatchError(ContainSubstring(`the verb "settle"`)))
		g.Expect(as("settler").Update(ctx, p)).To(Succeed())
	})
}

func settledBy(user string) *v1alpha1.Settlement {
	return &v1alpha1.Settlement{UnknownID: "u1", Outcome: v1alpha1.SettledPaid, SettledBy: user, Reason: "seen in the portal"}
}

// inPhase creates a Payment and puts it into a phase, as the operator does.
func inPhase(ctx context.Context, g *WithT, env *testenv.Env, name string, phase v1alpha1.Phase, unknownID string) *v1alpha1.Payment {
	p := newPayment(name)
	g.Expect(env.Client().Create(ctx, p)).To(Succeed())
	p.Status.Phase = phase
	if unknownID != "" {
		p.Status.Unknown = unknown(unknownID)
	}
	g.Expect(env.Client().Status().Update(ctx, p)).To(Succeed())
	return p
}

func settle(ctx context.Context, c client.Client, name, by string, opts ...client.UpdateOption) error {
	var p v1alpha1.Payment
	if err := c.Get(ctx, client.ObjectKey{Namespace: shop, Name: name}, &p); err != nil {
		return err
	}
	p.Spec.Settlement = settledBy(by)
	return c.Update(ctx, &p, opts...)
}

func confirm(ctx context.Context, c client.Client, name, by string, opts ...client.UpdateOption) error {
	var r v1alpha1.Refund
	if err := c.Get(ctx, client.ObjectKey{Namespace: shop, Name: name}, &r); err != nil {
		return err
	}
	r.Spec.Confirmation = confirmedBy(by)
	return c.Update(ctx, &r, opts...)
}
