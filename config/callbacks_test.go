package config

import (
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/controllers/testenv"
)

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
