package installation

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const testSystem = "mobile-money-system"

var keyName = types.NamespacedName{Namespace: testSystem, Name: "mobile-money-operator-key"}

func installationAPI(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, corev1.AddToScheme(scheme))
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func kubeSystem(uid string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: types.UID(uid)}}
}

func keySecret(key string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: keyName.Namespace, Name: keyName.Name}, Data: map[string][]byte{"key": []byte(key)}}
}

func TestInstallationID(t *testing.T) {
	key := strings.Repeat("k", 32)
	for name, c := range map[string]struct {
		objects []client.Object
		setting string
		want    string
		err     string
	}{
		"the setting":               {[]client.Object{kubeSystem("uid"), keySecret(key)}, "prod-ci", "prod-ci", ""},
		"the cluster's uid":         {[]client.Object{kubeSystem("uid"), keySecret(key)}, "", "uid", ""},
		"no need for the namespace": {[]client.Object{keySecret(key)}, "prod-ci", "prod-ci", ""},
		"no namespace":              {[]client.Object{keySecret(key)}, "", "", "kube-system"},
		"no uid":                    {[]client.Object{kubeSystem(""), keySecret(key)}, "", "", "--installation-id"},
	} {
		got, err := Load(t.Context(), installationAPI(t, c.objects...), testSystem, c.setting, rand.Reader)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) || got.ID != "" || got.Key != nil {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		case err != nil || got.ID != c.want || string(got.Key) != key:
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// The key is made once, and is the same for whoever comes later.
func TestKeyIsMadeOnce(t *testing.T) {
	api := installationAPI(t, kubeSystem("uid"))
	random := bytes.NewReader(bytes.Repeat([]byte("r"), 40))
	first, err := Load(t.Context(), api, testSystem, "", random)
	must(t, err)
	if string(first.Key) != strings.Repeat("r", 32) || random.Len() != 8 {
		t.Errorf("key %q, %d bytes left", first.Key, random.Len())
	}
	var s corev1.Secret
	must(t, api.Get(t.Context(), keyName, &s))
	if s.Immutable == nil || !*s.Immutable || len(s.Data) != 1 || !bytes.Equal(s.Data["key"], first.Key) {
		t.Errorf("%+v", s)
	}
	again, err := Load(t.Context(), api, testSystem, "", failingReader{})
	must(t, err)
	if !bytes.Equal(again.Key, first.Key) || again.ID != first.ID {
		t.Error("another key after a restart")
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errInjected }

func TestNoRandom(t *testing.T) {
	for _, random := range []interface{ Read([]byte) (int, error) }{failingReader{}, strings.NewReader("too short")} {
		api := installationAPI(t, kubeSystem("uid"))
		if _, err := Load(t.Context(), api, testSystem, "", random); err == nil {
			t.Error("a key of nothing")
		}
		if err := api.Get(t.Context(), keyName, &corev1.Secret{}); err == nil {
			t.Error("a key was written")
		}
	}
}

// A short key is not replaced: what it was made for would be lost.
func TestShortKey(t *testing.T) {
	for _, key := range []string{"", "too-little", strings.Repeat("k", 31)} {
		api := installationAPI(t, kubeSystem("uid"), keySecret(key))
		_, err := Load(t.Context(), api, testSystem, "", rand.Reader)
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
	if _, err := Load(t.Context(), installationAPI(t, kubeSystem("uid"), other), testSystem, "", rand.Reader); err == nil {
		t.Error("a Secret without the key was taken")
	}
}

// Two replicas that start at once, both of which find no key, agree on one.
func TestReplicasAgreeOnTheKey(t *testing.T) {
	api := installationAPI(t, kubeSystem("uid"))
	const replicas = 4
	var looked sync.WaitGroup
	looked.Add(replicas)
	keys, errs := make([]string, replicas), make([]error, replicas)
	var done sync.WaitGroup
	for i := range replicas {
		first := true
		c := interceptor.NewClient(api, interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				err := c.Get(ctx, key, o, opts...)
				if _, ok := o.(*corev1.Secret); ok && first {
					first = false
					looked.Done() // all have looked before one creates
					looked.Wait()
				}
				return err
			},
		})
		done.Go(func() {
			var inst Installation
			inst, errs[i] = Load(t.Context(), c, testSystem, "", rand.Reader)
			keys[i] = string(inst.Key)
		})
	}
	done.Wait()
	for i := range replicas {
		if errs[i] != nil || keys[i] != keys[0] || len(keys[i]) != 32 {
			t.Errorf("replica %d: %d bytes, %v", i, len(keys[i]), errs[i])
		}
	}
}

func TestInstallationAPIFailures(t *testing.T) {
	for _, at := range []string{"get Namespace", "get Secret", "create Secret", "get Secret again"} {
		gets := 0
		api := interceptor.NewClient(installationAPI(t, kubeSystem("uid")), interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				_, secret := o.(*corev1.Secret)
				if secret {
					gets++
				}
				if (!secret && at == "get Namespace") || (secret && at == "get Secret") || (gets == 2 && at == "get Secret again") {
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
		got, err := Load(t.Context(), api, testSystem, "", rand.Reader)
		if !errors.Is(err, errInjected) || got.ID != "" || got.Key != nil {
			t.Errorf("%s: %+v, %v", at, got, err)
		}
	}
}
