package manager

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

const (
	operatorUser = "system:serviceaccount:" + operatorNamespace + ":mobile-money-operator"
	// intruder is the user agent of requests that a spec makes in the operator's name.
	intruder = "intruder"
)

// auditDir is where the API server logs what the manager asks it for.
var auditDir string

// right to a verb on a resource: in a namespace, or, where that is empty, everywhere.
type right struct{ namespace, verb, group, resource string }

// grants are the rights that the manifests give to the operator.
func grants(g Gomega) (all []right) {
	objects, err := env.ReadManifests("config/rbac")
	g.Expect(err).NotTo(HaveOccurred())
	for _, o := range objects {
		if !strings.HasSuffix(o.GetKind(), "RoleBinding") {
			continue
		}
		var binding rbacv1.RoleBinding // has all fields that a ClusterRoleBinding has
		g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &binding)).To(Succeed())
		subject := binding.Subjects[0]
		g.Expect(subject.Namespace + "/" + subject.Name).To(Equal(operatorNamespace + "/mobile-money-operator"))
		for _, rule := range rulesOf(g, objects, binding.RoleRef, binding.Namespace) {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						all = append(all, right{binding.Namespace, verb, group, resource})
					}
				}
			}
		}
	}
	return all
}

func rulesOf(g Gomega, objects []*unstructured.Unstructured, ref rbacv1.RoleRef, namespace string) []rbacv1.PolicyRule {
	for _, o := range objects {
		if o.GetKind() != ref.Kind || o.GetName() != ref.Name || (ref.Kind == "Role" && o.GetNamespace() != namespace) {
			continue
		}
		var role rbacv1.ClusterRole
		g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role)).To(Succeed())
		return role.Rules
	}
	g.Expect(ref).To(BeNil(), "is not shipped")
	return nil
}

// audited is what is read of a line of the audit log.
type audited struct {
	Verb, UserAgent, RequestURI string
	ObjectRef                   *struct{ Namespace, Name, APIGroup, Resource, Subresource string }
	Annotations                 map[string]string
}

func (a audited) denied() bool { return a.Annotations["authorization.k8s.io/decision"] != "allow" }

func (a audited) right() right {
	resource := a.ObjectRef.Resource
	if sub := a.ObjectRef.Subresource; sub != "" {
		resource += "/" + sub
	}
	return right{a.ObjectRef.Namespace, a.Verb, a.ObjectRef.APIGroup, resource}
}

// requests of the managers, from the audit log.
func requests(g Gomega) (all []audited) {
	files, err := filepath.Glob(filepath.Join(auditDir, "audit*.log"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range files {
		file, err := os.Open(name)
		g.Expect(err).NotTo(HaveOccurred())
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var a audited
			// The last line of an API server that is killed may be half a line.
			if json.Unmarshal(lines.Bytes(), &a) == nil && a.UserAgent != intruder {
				all = append(all, a)
			}
		}
		g.Expect(lines.Err()).NotTo(HaveOccurred())
		g.Expect(file.Close()).To(Succeed())
	}
	return all
}

// usedBy returns the grants that the requests took, and what was refused or is
// granted by no manifest. A grant for a namespace is taken before one for all.
func usedBy(granted []right, all []audited) (used map[right]bool, refused map[right]bool) {
	used, refused = map[right]bool{}, map[right]bool{}
	for _, a := range all {
		if a.ObjectRef == nil { // what the server offers: /apis and the like
			continue
		}
		r := a.right()
		everywhere := r
		everywhere.namespace = ""
		switch {
		case a.denied():
			refused[r] = true
		case slices.Contains(granted, r):
			used[r] = true
		case slices.Contains(granted, everywhere):
			used[everywhere] = true
		default:
			refused[r] = true
		}
	}
	return used, refused
}

// whole tells whether all specs ran, so that what was not seen is not needed.
func whole(r Report) bool {
	c := r.SuiteConfig
	filters := slices.Concat(c.FocusStrings, c.SkipStrings, c.FocusFiles, c.SkipFiles)
	return r.SuiteSucceeded && len(filters) == 0 && cmp.Or(c.LabelFilter, c.SemVerFilter) == "" && !r.SuiteHasProgrammaticFocus
}

var _ = ReportAfterSuite("J4 the manager holds the rights that it uses, and no other", func(r Report) {
	defer os.RemoveAll(auditDir)
	if auditDir == "" || env == nil {
		return
	}
	granted, all := grants(Default), requests(Default)
	used, refused := usedBy(granted, all)
	Expect(refused).To(BeEmpty(), "asked for, and not granted by config/rbac")
	if !whole(r) {
		return
	}
	Expect(len(all)).To(BeNumerically(">", 1000), "lines of the audit log")
	unused := []right{}
	for _, g := range granted {
		if !used[g] {
			unused = append(unused, g)
		}
	}
	Expect(unused).To(BeEmpty(), "granted by config/rbac, and not used in the whole suite")
})

// asOperator acts in the operator's name, with its token.
func asOperator(ctx context.Context) client.WithWatch {
	GinkgoHelper()
	cfg, err := env.ServiceAccountConfig(ctx, operatorNamespace, "mobile-money-operator")
	Expect(err).NotTo(HaveOccurred())
	cfg.UserAgent = intruder
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: env.Scheme})
	Expect(err).NotTo(HaveOccurred())
	return c
}

var _ = Describe("Rights", func() {
	It("H4 the operator's token gets a Secret by its name, and can neither list Secrets nor write outside its role", func(ctx context.Context) {
		ns := tenant(ctx, time.Second)
		Expect(api.Create(ctx, newPayment(ns, "sale", "nobody", 5901))).To(Succeed())
		thief := asOperator(ctx)
		Expect(thief.Get(ctx, types.NamespacedName{Namespace: ns, Name: "mtn-credentials"}, &corev1.Secret{})).To(Succeed())

		secret, payment := newSecret(ns, "mtn"), newPayment(ns, "sale", "nobody", 5901)
		tried := map[string]error{
			"list Secrets":             thief.List(ctx, &corev1.SecretList{}),
			"list a namespace's":       thief.List(ctx, &corev1.SecretList{}, client.InNamespace(ns)),
			"list its own":             thief.List(ctx, &corev1.SecretList{}, client.InNamespace(operatorNamespace)),
			"write a Secret":           thief.Update(ctx, secret),
			"create a Secret":          thief.Create(ctx, newSecret("default", "mtn")),
			"delete a Secret":          thief.Delete(ctx, secret),
			"create a Payment":         thief.Create(ctx, newPayment(ns, "own", "mtn", 5901)),
			"change a Payment":         thief.Update(ctx, payment),
			"delete a Payment":         thief.Delete(ctx, payment),
			"create a Refund":          thief.Create(ctx, newRefund(ns, "own", "sale", 0)),
			"create an account":        thief.Create(ctx, newAccount(ns, "own", time.Second)),
			"list Namespaces":          thief.List(ctx, &corev1.NamespaceList{}),
			"create a pod":             thief.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "own"}}),
			"read ConfigMaps":          thief.List(ctx, &corev1.ConfigMapList{}),
			"read roles":               thief.List(ctx, &rbacv1.ClusterRoleList{}),
			"bind cluster-admin":       thief.Create(ctx, bindingOf("thief", "cluster-admin", operatorNamespace, "mobile-money-operator")),
			"make a token of its kind": thief.SubResource("token").Create(ctx, serviceAccount(operatorNamespace, "mobile-money-operator"), &authenticationv1.TokenRequest{}),
		}
		for what, err := range tried {
			Expect(err).To(Satisfy(apierrors.IsForbidden), what)
		}
		_, err := thief.Watch(ctx, &corev1.SecretList{})
		Expect(err).To(Satisfy(apierrors.IsForbidden))
	})

	It("H4 works with rights to single namespaces, and says where it is not let in", func(ctx context.Context) {
		DeferCleanup(use, env)
		own, err := testenv.Start(ctx)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(own.Stop()).To(Succeed()) })
		use(own)
		Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})).To(Succeed())
		Expect(env.ApplyManifests(ctx, built(ctx, "config/rbac", "config/narrow-secrets"))).To(Succeed())
		m := startManager(ctx)
		ns := tenant(ctx, time.Second)
		Expect(api.Create(ctx, newPayment(ns, "order", "mtn", 5901))).To(Succeed())
		p := reaches(ctx, ns, "order", v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
		Expect(p.Status.Conditions[0].Message).To(And(ContainSubstring("may not read"), ContainSubstring("mobile-money-secret-reader")))
		expectReady(ctx, ns, "mtn", metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured)
		Consistently(m.done, "500ms").ShouldNot(BeClosed())

		Expect(api.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "mobile-money-secret-reader"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "mobile-money-secret-reader"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: operatorNamespace, Name: "mobile-money-operator"}},
		})).To(Succeed())
		paidOnce(ctx, reaches(ctx, ns, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
		Expect(asOperator(ctx).Get(ctx, types.NamespacedName{Namespace: "default", Name: "any"}, &corev1.Secret{})).To(Satisfy(apierrors.IsForbidden))
	})

	It("J4 lists what it watches where the API server does not stream it", func(ctx context.Context) {
		startManager(ctx, "KUBE_FEATURE_WatchListClient=false")
		ns := tenant(ctx, time.Second)
		Expect(api.Create(ctx, newPayment(ns, "order", "mtn", 5901))).To(Succeed())
		paidOnce(ctx, reaches(ctx, ns, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
	})
})

func serviceAccount(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func bindingOf(name, role, namespace, account string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}},
	}
}

// built is a file with what kustomize makes of a base and a component.
func built(ctx context.Context, base, component string) string {
	GinkgoHelper()
	dir, err := filepath.EvalSymlinks(GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
	root, err := filepath.Rel(dir, env.Root)
	Expect(err).NotTo(HaveOccurred())
	overlay := "resources: [" + filepath.Join(root, base) + "]\ncomponents: [" + filepath.Join(root, component) + "]\n"
	Expect(os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600)).To(Succeed())
	out, err := exec.CommandContext(ctx, env.Kubectl(), "kustomize", dir).Output()
	Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(dir, "built.yaml")
	Expect(os.WriteFile(file, out, 0o600)).To(Succeed())
	return file
}
