// Package config tests the manifests as a whole, against a real API server: that it
// takes them without a warning, and what they leave open.
package config

import (
	"encoding/json"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

const operator = "mobile-money-system"

// warnings that an API server gave.
type warnings struct {
	mu   sync.Mutex
	text []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.text = nil }()
	return w.text
}

// patched is a folder of patches, whose objects are whole only once it is built.
const patched = "callbacks/tls"

// built are the objects of a folder as kubectl kustomize makes them.
func built(t *testing.T, env *testenv.Env, folder string) []*unstructured.Unstructured {
	t.Helper()
	g := NewWithT(t)
	out, err := exec.CommandContext(t.Context(), env.Kubectl(), "kustomize", folder).Output()
	g.Expect(err).NotTo(HaveOccurred(), folder)
	file := filepath.Join(t.TempDir(), "built.yaml")
	g.Expect(os.WriteFile(file, out, 0o600)).To(Succeed())
	objects, err := env.ReadManifests(file)
	g.Expect(err).NotTo(HaveOccurred(), folder)
	return objects
}

// manifests are all objects below this folder.
func manifests(t *testing.T, env *testenv.Env) (all []*unstructured.Unstructured) {
	t.Helper()
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if dir := filepath.Dir(path); err == nil && filepath.Ext(path) == ".yaml" && dir != patched {
			seen[dir] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range seen {
		objects, err := env.ReadManifests(filepath.Join("config", dir))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objects...)
	}
	// The rest of it is there already, but for a Service that is in the other's place.
	for _, o := range built(t, env, patched) {
		if o.GetKind() == "Deployment" {
			all = append(all, o)
		}
	}
	return all
}

func of[T any](g *WithT, objects []*unstructured.Unstructured, kind string) (found []T) {
	for _, o := range objects {
		if o.GetKind() == kind {
			var typed T
			content, err := o.MarshalJSON()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(json.Unmarshal(content, &typed)).To(Succeed())
			found = append(found, typed)
		}
	}
	g.Expect(found).NotTo(BeEmpty(), kind)
	return found
}

func TestManifests(t *testing.T) {
	env := testenv.ForTest(t)
	all := manifests(t, env)
	t.Run("kustomize builds them and the API server takes them", func(t *testing.T) { testInstalled(t, env) })
	t.Run("J3 the API server admits the pod under enforce=restricted without a warning, and no laxer one", func(t *testing.T) { testPodSecurity(t, env, all) })
	t.Run("J3 a token only where one is needed, a read-only root, a numeric user, limits", func(t *testing.T) { testPod(t, all) })
	t.Run("I-5 a crash dumps no core and no other goroutine", func(t *testing.T) { testCrash(t, all) })
	t.Run("only callbacks are public by Ingress", func(t *testing.T) { testIngress(t, env, all) })
	t.Run("only callbacks are public by HTTPRoute", func(t *testing.T) { testHTTPRoute(t, all) })
	t.Run("the receiver has its certificate, and time to end", func(t *testing.T) { testReceiver(t, all) })
	t.Run("J5 no admission webhook, no conversion webhook, no aggregated API", func(t *testing.T) { testNoWebhooks(t, all) })
	t.Run("H5 the network policy lets the operator out to providers, DNS and the API server only", func(t *testing.T) { testNetworkPolicy(t, all) })
	t.Run("I-3 no column shows a phone, not even with -o wide", func(t *testing.T) { testColumns(t, all) })
	t.Run("H11 a ResourceQuota caps the Payments of a namespace", func(t *testing.T) { testQuota(t, env) })
	t.Run("H11 whatever a tenant writes has a largest size", func(t *testing.T) { testSizes(t, all) })
}

// testInstalled applies what an installation with everything applies.
func testInstalled(t *testing.T, env *testenv.Env) {
	g, ctx, w := NewWithT(t), t.Context(), &warnings{}
	cfg := env.AdminConfig()
	cfg.WarningHandler = w
	c, err := client.New(cfg, client.Options{Scheme: env.Scheme})
	g.Expect(err).NotTo(HaveOccurred())
	for _, folder := range []string{patched, "default", "network-policy", "prometheus"} {
		for _, o := range built(t, env, folder) {
			if o.GetKind() == "ServiceMonitor" { // of the Prometheus operator
				continue
			}
			g.Expect(c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("platform"), client.ForceOwnership)).
				To(Succeed(), "%s %s", o.GetKind(), o.GetName())
		}
	}
	g.Expect(w.take()).To(BeEmpty())
}

func testPodSecurity(t *testing.T, env *testenv.Env, all []*unstructured.Unstructured) {
	g, ctx, w := NewWithT(t), t.Context(), &warnings{}
	g.Expect(env.ApplyManifests(ctx, "config/manager", "config/rbac")).To(Succeed())
	var ns corev1.Namespace
	g.Expect(env.Client().Get(ctx, client.ObjectKey{Name: operator}, &ns)).To(Succeed())
	g.Expect(ns.Labels).To(HaveKeyWithValue("pod-security.kubernetes.io/enforce", "restricted"))
	cfg := env.AdminConfig()
	cfg.WarningHandler = w
	c, err := client.New(cfg, client.Options{Scheme: env.Scheme})
	g.Expect(err).NotTo(HaveOccurred())
	for _, d := range of[appsv1.Deployment](g, all, "Deployment") {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: operator, Name: d.Name, Labels: d.Spec.Template.Labels},
			Spec:       *d.Spec.Template.Spec.DeepCopy(),
		}
		g.Expect(c.Create(ctx, pod.DeepCopy(), client.DryRunAll)).To(Succeed())
		g.Expect(w.take()).To(BeEmpty())
		// What is laxer in the least.
		pod.Spec.SecurityContext.SeccompProfile = nil
		err := c.Create(ctx, pod, client.DryRunAll)
		g.Expect(err).To(Satisfy(apierrors.IsForbidden))
		g.Expect(err).To(MatchError(ContainSubstring(`violates PodSecurity "restricted:latest"`)))
	}
}

// testPod looks at what Pod Security does not ask for.
func testPod(t *testing.T, all []*unstructured.Unstructured) {
	g := NewWithT(t)
	accounts := map[string]corev1.ServiceAccount{}
	for _, a := range of[corev1.ServiceAccount](g, all, "ServiceAccount") {
		accounts[a.Name] = a
		g.Expect(a.AutomountServiceAccountToken).To(HaveValue(BeFalse()), a.Name)
	}
	for _, d := range of[appsv1.Deployment](g, all, "Deployment") {
		pod := d.Spec.Template.Spec
		g.Expect(accounts).To(HaveKey(pod.ServiceAccountName), "never the default one")
		g.Expect(pod.AutomountServiceAccountToken).To(HaveValue(BeTrue()), "it talks to the API server")
		g.Expect(pod.EnableServiceLinks).To(HaveValue(BeFalse()))
		g.Expect(pod.SecurityContext.RunAsUser).To(HaveValue(BeNumerically(">", 1000)))
		g.Expect(pod.SecurityContext.RunAsGroup).To(HaveValue(BeNumerically(">", 1000)))
		for _, v := range pod.Volumes {
			g.Expect(v.Secret != nil || v.ConfigMap != nil || v.Projected != nil).To(BeTrue(), "it writes nowhere: volume %s", v.Name)
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			g.Expect(c.SecurityContext.ReadOnlyRootFilesystem).To(HaveValue(BeTrue()))
			g.Expect(c.SecurityContext.Capabilities.Drop).To(ConsistOf(corev1.Capability("ALL")))
			g.Expect(c.Resources.Limits).To(HaveKey(corev1.ResourceMemory))
			g.Expect(c.Resources.Requests).To(HaveKey(corev1.ResourceCPU))
			g.Expect(c.Args).NotTo(ContainElement(ContainSubstring("metrics-insecure")))
			g.Expect(c.Args).NotTo(ContainElement(ContainSubstring("--leader-elect=false")))
		}
	}
	for _, kind := range []string{"Pod", "StatefulSet", "DaemonSet", "Job", "CronJob"} {
		g.Expect(all).NotTo(ContainElement(HaveField("GetKind()", kind)), "no test looks at it")
	}
}

func testCrash(t *testing.T, all []*unstructured.Unstructured) {
	g := NewWithT(t)
	for _, d := range of[appsv1.Deployment](g, all, "Deployment") {
		for _, c := range d.Spec.Template.Spec.Containers {
			g.Expect(c.Env).To(ContainElement(corev1.EnvVar{Name: "GOTRACEBACK", Value: "single"}))
			// And there is nowhere to write a core to.
			g.Expect(c.SecurityContext.ReadOnlyRootFilesystem).To(HaveValue(BeTrue()))
		}
	}
}

func testNoWebhooks(t *testing.T, all []*unstructured.Unstructured) {
	g := NewWithT(t)
	for _, o := range all {
		g.Expect(o.GetKind()).NotTo(Or(HaveSuffix("WebhookConfiguration"), Equal("APIService")), o.GetName())
	}
	for _, crd := range of[apiextensionsv1.CustomResourceDefinition](g, all, "CustomResourceDefinition") {
		if crd.Spec.Conversion != nil {
			g.Expect(crd.Spec.Conversion.Strategy).To(Equal(apiextensionsv1.NoneConverter))
		}
	}
}

func testNetworkPolicy(t *testing.T, all []*unstructured.Unstructured) {
	g := NewWithT(t)
	var closed, operators *networkingv1.NetworkPolicy
	for _, p := range of[networkingv1.NetworkPolicy](g, all, "NetworkPolicy") {
		g.Expect(p.Namespace).To(Equal(operator))
		g.Expect(p.Spec.PolicyTypes).To(ConsistOf(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress))
		if len(p.Spec.PodSelector.MatchLabels) == 0 {
			closed = &p
		} else {
			operators = &p
		}
	}
	g.Expect(closed.Spec.Ingress).To(BeEmpty())
	g.Expect(closed.Spec.Egress).To(BeEmpty())
	pod := of[appsv1.Deployment](g, all, "Deployment")[0].Spec.Template
	g.Expect(pod.Labels).To(Equal(operators.Spec.PodSelector.MatchLabels))
	open := map[string]map[string]string{}
	for _, rule := range operators.Spec.Ingress {
		g.Expect(rule.From).To(HaveLen(1))
		open[rule.Ports[0].Port.String()] = rule.From[0].NamespaceSelector.MatchLabels
	}
	g.Expect(open).To(Equal(map[string]map[string]string{
		"callbacks": {"mobilemoney.dev/callbacks": "allowed"}, "metrics": {"mobilemoney.dev/metrics": "allowed"},
	}))
	for address, want := range map[string]bool{
		"41.202.207.1:443": true, "[2a00:1450::1]:443": true, "10.96.0.1:443": true, "172.18.0.2:6443": true,
		"10.96.0.10:53": true, "169.254.20.10:53": true,
		"169.254.169.254:80": false, "169.254.169.254:443": false, "[fe80::1]:443": false, "[fd00:ec2::254]:80": false,
		"127.0.0.1:443": false, "[::1]:443": false, "10.0.0.7:80": false, "10.0.0.7:5432": false, "41.202.207.1:80": false, "41.202.207.1:6443": false,
	} {
		g.Expect(letsOut(operators, netip.MustParseAddrPort(address))).To(Equal(want), address)
	}
}

func letsOut(p *networkingv1.NetworkPolicy, to netip.AddrPort) bool {
	within := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(to.Addr()) }
	for _, rule := range p.Spec.Egress {
		port := slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntValue() == int(to.Port()) })
		peer := len(rule.To) == 0 || slices.ContainsFunc(rule.To, func(p networkingv1.NetworkPolicyPeer) bool {
			return within(p.IPBlock.CIDR) && !slices.ContainsFunc(p.IPBlock.Except, within)
		})
		if port && peer {
			return true
		}
	}
	return false
}

func testColumns(t *testing.T, all []*unstructured.Unstructured) {
	g := NewWithT(t)
	for _, crd := range of[apiextensionsv1.CustomResourceDefinition](g, all, "CustomResourceDefinition") {
		for _, column := range crd.Spec.Versions[0].AdditionalPrinterColumns {
			g.Expect(strings.ToLower(column.Name + column.JSONPath)).NotTo(ContainSubstring("phone"))
		}
	}
}

// testQuota does as docs/operations.md says. What the controller manager would
// write into the quota's status is written by hand: it does not run here.
func testQuota(t *testing.T, env *testenv.Env) {
	g, ctx := NewWithT(t), t.Context()
	const ns = "capped"
	g.Expect(env.Client().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})).To(Succeed())
	hard := corev1.ResourceList{"count/payments.mobilemoney.dev": resource.MustParse("3")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "payments"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	g.Expect(env.Client().Create(ctx, quota)).To(Succeed())
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{"count/payments.mobilemoney.dev": resource.MustParse("0")}}
	g.Expect(env.Client().Status().Update(ctx, quota)).To(Succeed())
	create := func() error {
		return env.Client().Create(ctx, &v1alpha1.Payment{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "sale-"},
			Spec:       v1alpha1.PaymentSpec{Provider: "wave", Amount: v1alpha1.AmountFromInt(5000)},
		})
	}
	// The quota takes a moment to be seen, so the refusal may come after more than three.
	g.Eventually(create, "30s", "10ms").Should(And(Satisfy(apierrors.IsForbidden), MatchError(ContainSubstring("exceeded quota"))))
}

// testSizes: etcd and the operator's memory are not filled by one object.
func testSizes(t *testing.T, all []*unstructured.Unstructured) {
	g := NewWithT(t)
	for _, crd := range of[apiextensionsv1.CustomResourceDefinition](g, all, "CustomResourceDefinition") {
		if crd.Spec.Scope == apiextensionsv1.ClusterScoped { // of the platform team
			continue
		}
		for _, version := range crd.Spec.Versions {
			spec := version.Schema.OpenAPIV3Schema.Properties["spec"]
			g.Expect(unbounded(crd.Spec.Names.Kind, spec)).To(BeEmpty())
		}
	}
}

// unbounded are the paths of a schema whose values may be as large as they like.
func unbounded(path string, s apiextensionsv1.JSONSchemaProps) (paths []string) {
	switch {
	case s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields,
		s.Type == "string" && s.MaxLength == nil && len(s.Enum) == 0 && s.Format == "",
		s.Type == "array" && s.MaxItems == nil,
		s.AdditionalProperties != nil && s.MaxProperties == nil:
		paths = append(paths, path)
	}
	for name, property := range s.Properties {
		paths = append(paths, unbounded(path+"."+name, property)...)
	}
	if s.Items != nil && s.Items.Schema != nil {
		paths = append(paths, unbounded(path+"[]", *s.Items.Schema)...)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		paths = append(paths, unbounded(path+"{}", *s.AdditionalProperties.Schema)...)
	}
	return paths
}

const callbacks = "mobile-money-callbacks"

// testIngress: only what providers and payers need is public, by TLS, and it leads to the
// Service. An API server takes it.
func testIngress(t *testing.T, env *testenv.Env, all []*unstructured.Unstructured) {
	g := NewWithT(t)
	var public []string
	for _, ingress := range of[networkingv1.Ingress](g, all, "Ingress") {
		for _, rule := range ingress.Spec.Rules {
			g.Expect(ingress.Spec.TLS[0].Hosts).To(ContainElement(rule.Host))
			for _, p := range rule.HTTP.Paths {
				public = append(public, p.Path)
				g.Expect(p.Backend.Service.Name + ":" + p.Backend.Service.Port.Name).To(Equal(callbacks + ":callbacks"))
			}
		}
		if list, ok := ingress.Annotations["nginx.ingress.kubernetes.io/allowlist-source-range"]; ok {
			addresses := slices.Sorted(strings.SplitSeq(list, ","))
			g.Expect(slices.Compact(addresses)).To(HaveLen(15), "what Wave publishes")
		}
		g.Expect(env.Client().Create(t.Context(), &ingress, client.FieldValidation("Strict"))).To(Succeed())
	}
	g.Expect(public).To(ConsistOf("/callbacks/mtn", "/callbacks/orange", "/callbacks/wave", "/return"))
}

// httpRoute is the part of the Gateway API's kind that the example uses.
type httpRoute struct {
	metav1.TypeMeta
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Rules []struct {
			Matches []struct {
				Path   struct{ Type, Value string }
				Method string
			}
			Timeouts    map[string]metav1.Duration
			BackendRefs []struct {
				Name string
				Port int32
			}
		}
	}
}

func testHTTPRoute(t *testing.T, all []*unstructured.Unstructured) {
	g := NewWithT(t)
	route := of[httpRoute](g, all, "HTTPRoute")[0]
	g.Expect(route.APIVersion + " " + route.Namespace).To(Equal("gateway.networking.k8s.io/v1 " + operator))
	for _, rule := range route.Spec.Rules {
		for _, m := range rule.Matches {
			g.Expect(m.Path.Type + " " + m.Path.Value + " " + m.Method).To(BeElementOf(
				"PathPrefix /callbacks/ POST", "PathPrefix /callbacks/mtn/ PUT", "Exact /return GET"))
		}
		for _, b := range rule.BackendRefs {
			g.Expect(b.Name).To(Equal(callbacks))
			g.Expect(b.Port).To(BeEquivalentTo(80))
		}
	}
}

// testReceiver: the certificate is where the flags say. Endpoints are gone before the
// process is told to end, and it has the time that it needs after that.
func testReceiver(t *testing.T, all []*unstructured.Unstructured) {
	g, withTLS := NewWithT(t), 0
	for _, d := range of[appsv1.Deployment](g, all, "Deployment") {
		pod := d.Spec.Template.Spec
		manager := pod.Containers[0]
		sleep := manager.Lifecycle.PreStop.Sleep.Seconds
		g.Expect(sleep).To(BeNumerically(">=", 5))
		g.Expect(*pod.TerminationGracePeriodSeconds).To(BeNumerically(">", sleep+30+2*10))
		for _, v := range pod.Volumes {
			if v.Name != "callback-tls" {
				continue
			}
			withTLS++
			at := manager.VolumeMounts[slices.IndexFunc(manager.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name })].MountPath
			g.Expect(manager.Args).To(ContainElements("--callback-tls-cert="+at+"/tls.crt", "--callback-tls-key="+at+"/tls.key"))
		}
	}
	g.Expect(withTLS).To(Equal(1))
}
