package installation

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

var testInstallation = Installation{ID: "test-installation", Key: []byte("0123456789abcdef0123456789abcdef")}

var errInjected = errors.New("injected")

func testRegistry() providers.Registry {
	return providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newPayment(name, provider, amount string) *v1alpha1.Payment {
	return &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec: v1alpha1.PaymentSpec{
			Provider: provider, Amount: v1alpha1.NewAmount(amount), Currency: "XOF", Phone: "+2250501020304",
		},
	}
}
