package installation

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

const testSystem = "mobile-money-system"

var keyName = types.NamespacedName{Namespace: testSystem, Name: "mobile-money-operator-key"}

func installationAPI(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, corev1.AddToScheme(scheme))
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func keySecret(key string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: keyName.Namespace, Name: keyName.Name}, Data: map[string][]byte{"key": []byte(key)}}
}

func TestLoad_MakesAnIDThatIsKeptWithTheKey(t *testing.T) {
	api := installationAPI(t, keySecret(string(goldenInstallation.Key)))
	for id, want := range map[string]Installation{
		"prod-ci": {ID: "prod-ci", Given: true}, "": {ID: "made-3da2f1c11dec6169"},
	} {
		got, made, err := Load(t.Context(), api, testSystem, id, failingReader{})
		must(t, err)
		if got.ID != want.ID || got.Given != want.Given || made || !bytes.Equal(got.Key, goldenInstallation.Key) {
			t.Errorf("%q: %+v, made %t", id, got, made)
		}
	}
	must(t, api.Delete(t.Context(), keySecret("")))
	lost, made, err := Load(t.Context(), api, testSystem, "", rand.Reader)
	must(t, err)
	if !made || lost.ID == "made-3da2f1c11dec6169" || lost.Given {
		t.Errorf("a lost key goes unnoticed: %+v, made %t", lost, made)
	}
	again, made, err := Load(t.Context(), api, testSystem, "", failingReader{})
	must(t, err)
	if made || again.ID != lost.ID {
		t.Errorf("%+v after a restart, made %t", again, made)
	}
}

func TestLoad_MakesTheKeyOnce(t *testing.T) {
	api := installationAPI(t)
	random := bytes.NewReader(bytes.Repeat([]byte("r"), 40))
	first, made, err := Load(t.Context(), api, testSystem, "", random)
	must(t, err)
	if string(first.Key) != strings.Repeat("r", 32) || random.Len() != 8 || !made {
		t.Errorf("key %q, %d bytes left, made %t", first.Key, random.Len(), made)
	}
	var s corev1.Secret
	must(t, api.Get(t.Context(), keyName, &s))
	if s.Immutable == nil || !*s.Immutable || len(s.Data) != 1 || !bytes.Equal(s.Data["key"], first.Key) {
		t.Errorf("%+v", s)
	}
	again, made, err := Load(t.Context(), api, testSystem, "", failingReader{})
	must(t, err)
	if !bytes.Equal(again.Key, first.Key) || again.ID != first.ID || made {
		t.Error("another key after a restart")
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errInjected }

func TestLoad_FailsWithoutRandom(t *testing.T) {
	for _, random := range []interface{ Read([]byte) (int, error) }{failingReader{}, strings.NewReader("too short")} {
		api := installationAPI(t)
		if _, _, err := Load(t.Context(), api, testSystem, "", random); err == nil {
			t.Error("a key of nothing")
		}
		if err := api.Get(t.Context(), keyName, &corev1.Secret{}); err == nil {
			t.Error("a key was written")
		}
	}
}

// A short key is not replaced: what it was made for would be lost.
func TestLoad_RefusesAShortKey(t *testing.T) {
	for _, key := range []string{"", "too-little", strings.Repeat("k", 31)} {
		api := installationAPI(t, keySecret(key))
		_, _, err := Load(t.Context(), api, testSystem, "", rand.Reader)
		if err == nil || !strings.Contains(err.Error(), "shorter than 32 bytes") || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%q: %v", key, err)
		}
		if key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("the key is in %v", err)
		}
		var s corev1.Secret
		must(t, api.Get(t.Context(), keyName, &s))
		if string(s.Data["key"]) != key {
			t.Error("the key was replaced")
		}
	}
	other := keySecret("")
	other.Data = map[string][]byte{"Key": bytes.Repeat([]byte("k"), 32)}
	if _, _, err := Load(t.Context(), installationAPI(t, other), testSystem, "", rand.Reader); err == nil {
		t.Error("a Secret without the key was taken")
	}
}

func TestLoad_LetsReplicasAgreeOnTheKey(t *testing.T) {
	api, other := installationAPI(t), strings.Repeat("o", 32)
	late := interceptor.NewClient(api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			must(t, c.Create(ctx, keySecret(other)))
			return c.Create(ctx, o, opts...)
		},
	})
	inst, made, err := Load(t.Context(), late, testSystem, "", rand.Reader)
	if err != nil || made || string(inst.Key) != other {
		t.Errorf("%d bytes, made %t, %v", len(inst.Key), made, err)
	}
}

func TestLoad_ReturnsErrorsOfTheAPI(t *testing.T) {
	for _, at := range []string{"get Secret", "create Secret", "get Secret again"} {
		gets := 0
		api := interceptor.NewClient(installationAPI(t), interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				if gets++; at == "get Secret" || gets == 2 && at == "get Secret again" {
					return errInjected
				}
				return c.Get(ctx, key, o, opts...)
			},
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				if at == "create Secret" {
					return errInjected
				}
				return c.Create(ctx, o, opts...)
			},
		})
		got, _, err := Load(t.Context(), api, testSystem, "", rand.Reader)
		if !errors.Is(err, errInjected) || got.ID != "" || got.Key != nil {
			t.Errorf("%s: %+v, %v", at, got, err)
		}
	}
}

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
