// Package callbacks tests the examples of this folder.
package callbacks

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"mobilemoney.dev/operator/controllers/testenv"
)

const (
	system  = "mobile-money-system"
	service = "mobile-money-callbacks"
)

func read[T any](t *testing.T, file string, at int) T {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := yaml.UnmarshalStrict(bytes.Split(raw, []byte("\n---\n"))[at], &out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}

// Only what providers and payers need is public, by TLS, and it leads to the
// Service. An API server takes it.
func TestIngress(t *testing.T) {
	g := NewWithT(t)
	env := testenv.ForTest(t)
	g.Expect(env.Client().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}})).To(Succeed())
	var public []string
	for i := range 2 {
		ingress := read[networkingv1.Ingress](t, "ingress.yaml", i)
		for _, rule := range ingress.Spec.Rules {
			g.Expect(ingress.Spec.TLS[0].Hosts).To(ContainElement(rule.Host))
			for _, p := range rule.HTTP.Paths {
				public = append(public, p.Path)
				g.Expect(p.Backend.Service.Name).To(Equal(service))
				g.Expect(p.Backend.Service.Port.Name).To(Equal("callbacks"))
			}
		}
		g.Expect(env.Client().Create(t.Context(), &ingress, client.FieldValidation("Strict"))).To(Succeed())
	}
	g.Expect(public).To(ConsistOf("/callbacks/mtn", "/callbacks/orange", "/callbacks/wave", "/return"))
	wave := read[networkingv1.Ingress](t, "ingress.yaml", 1)
	list := strings.Split(wave.Annotations["nginx.ingress.kubernetes.io/allowlist-source-range"], ",")
	slices.Sort(list)
	g.Expect(slices.Compact(list)).To(HaveLen(15))
}

// httpRoute is the part of the Gateway API's kind that the example uses.
type httpRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ParentRefs, Hostnames []any
		Rules                 []struct {
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

func TestHTTPRoute(t *testing.T) {
	g := NewWithT(t)
	route := read[httpRoute](t, "httproute.yaml", 0)
	g.Expect(route.APIVersion + " " + route.Kind + " " + route.Namespace).To(Equal("gateway.networking.k8s.io/v1 HTTPRoute " + system))
	for _, rule := range route.Spec.Rules {
		for _, m := range rule.Matches {
			g.Expect(m.Path.Type + " " + m.Path.Value + " " + m.Method).To(BeElementOf(
				"PathPrefix /callbacks/ POST", "PathPrefix /callbacks/mtn/ PUT", "Exact /return GET"))
		}
		for _, b := range rule.BackendRefs {
			g.Expect(b.Name).To(Equal(service))
			g.Expect(b.Port).To(BeEquivalentTo(80))
		}
	}
}

func TestTLS(t *testing.T) {
	g := NewWithT(t)
	deployment := read[appsv1.Deployment](t, "tls/deployment.yaml", 0)
	pod := deployment.Spec.Template.Spec
	g.Expect(pod.Containers[0].Name).To(Equal("manager"))
	g.Expect(pod.Containers[0].VolumeMounts[0].Name).To(Equal(pod.Volumes[0].Name))
	kustomization := read[struct {
		metav1.TypeMeta `json:",inline"`
		Resources       []string
		Patches         []struct {
			Path, Patch string
			Target      map[string]string
		}
	}](t, "tls/kustomization.yaml", 0)
	var args []struct{ Op, Path, Value string }
	g.Expect(yaml.UnmarshalStrict([]byte(kustomization.Patches[2].Patch), &args)).To(Succeed())
	for i, flag := range []string{"--callback-tls-cert=", "--callback-tls-key="} {
		file, ok := strings.CutPrefix(args[i].Value, flag+pod.Containers[0].VolumeMounts[0].MountPath+"/tls.")
		g.Expect(ok).To(BeTrue(), args[i].Value)
		g.Expect(file).To(BeElementOf("crt", "key"))
	}
	// Endpoints are gone before the process is told to end, and it has the time that it
	// needs after that.
	manager := read[appsv1.Deployment](t, "../manager/manager.yaml", 1).Spec.Template.Spec
	sleep := manager.Containers[0].Lifecycle.PreStop.Sleep.Seconds
	g.Expect(sleep).To(BeNumerically(">=", 5))
	g.Expect(*manager.TerminationGracePeriodSeconds).To(BeNumerically(">", sleep+30+2*10))
}
