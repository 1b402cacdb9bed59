package installation

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestG11_PathKeysVerifyWhatTheySigned(t *testing.T) {
	keys := testInstallation.PathKeys()
	rapid.Check(t, func(t *rapid.T) {
		name := testInstallation.ChargeName(rapid.String().Draw(t, "namespace"), rapid.String().Draw(t, "sale"))
		id := keys.ID("mtn", name)
		if got, key := keys.Verify("mtn", id); got != name || key != 0 {
			t.Fatalf("%s is %q by key %d", id, got, key)
		}
		at := rapid.IntRange(0, len(id)-1).Draw(t, "at")
		letter := rapid.SampledFrom([]byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ .%\n")).Draw(t, "letter")
		forged := []string{
			"", name, strings.TrimPrefix(name, chargePrefix), id[1:], id + "A", id + "=", id + "\n", strings.ToLower(id), strings.ToUpper(id), rapid.String().Draw(t, "text"),
			(Installation{ID: testInstallation.ID, Key: goldenInstallation.Key}).PathKeys().ID("mtn", name),
			keys.ID("orange", name),
		}
		if id[at] != letter {
			forged = append(forged, id[:at]+string(letter)+id[at+1:])
		}
		for _, f := range forged {
			if got, key := keys.Verify("mtn", f); key != -1 || got != "" {
				t.Fatalf("%q is %q", f, got)
			}
		}
	})
	for _, name := range []string{"", "charge-", "charge-x", "order", testInstallation.ChargeName("a", "b") + "a"} {
		if id := keys.ID("mtn", name); id != "" {
			t.Errorf("%q has the id %s", name, id)
		}
	}
}

func pathSecret(data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: keyName.Namespace, Name: "mobile-money-callback-keys"}, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func TestG10_PathKeysRotateWithoutLosingOpenPayments(t *testing.T) {
	first, second, third := strings.Repeat("1", 32), strings.Repeat("2", 32), strings.Repeat("3", 32)
	api := installationAPI(t)
	keys := testInstallation.PathKeys()
	name := testInstallation.ChargeName("shop", "order")
	load := func(data map[string]string) error {
		t.Helper()
		_ = api.Delete(t.Context(), pathSecret(nil))
		if data != nil {
			must(t, api.Create(t.Context(), pathSecret(data)))
		}
		return keys.Load(t.Context(), api, keyName.Namespace)
	}
	by := func(id string) int { _, key := keys.Verify("mtn", id); return key }
	id := func() string { return keys.ID("mtn", name) }

	must(t, load(nil))
	derived := id()
	must(t, load(map[string]string{"current": first}))
	if id() != derived || by(derived) != 1 {
		t.Error("a new key signs before the other replicas know it")
	}
	must(t, load(map[string]string{"current": first}))
	one := id()
	if one == derived || by(one) != 0 || by(derived) != 1 {
		t.Errorf("the new key does not sign, or the derived one is gone: %d, %d", by(one), by(derived))
	}
	for range 2 {
		must(t, load(map[string]string{"current": second, "previous": first}))
	}
	two := id()
	if by(two) != 0 || by(one) != 1 || by(derived) != -1 {
		t.Errorf("%d, %d, %d", by(two), by(one), by(derived))
	}
	// What cannot be read changes nothing.
	for _, bad := range []map[string]string{{}, {"current": "short"}, {"previous": first}, {"current": second, "previous": "short"}} {
		if err := load(bad); err == nil || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%v: %v", bad, err)
		}
		if by(two) != 0 || by(one) != 1 {
			t.Errorf("%v: the keys are gone", bad)
		}
	}
	// An empty previous key says that there is none.
	must(t, load(map[string]string{"current": second, "previous": ""}))
	if by(two) != 0 || by(one) != -1 || by(derived) != -1 {
		t.Errorf("%d, %d, %d", by(two), by(one), by(derived))
	}
	// Both exchanged at once: what signed is not known any more.
	must(t, load(map[string]string{"current": third, "previous": ""}))
	if by(id()) != 0 || by(two) != -1 {
		t.Error("a key that is gone still signs")
	}
	// And back to the beginning.
	for range 2 {
		must(t, load(nil))
	}
	if id() != derived || by(derived) != 0 {
		t.Error("without the Secret it is not the derived key that signs")
	}
}

func TestPathKeyLoader_ReadsUntilItsContextEnds(t *testing.T) {
	api := installationAPI(t, pathSecret(map[string]string{"current": strings.Repeat("1", 32)}))
	var failing atomic.Bool
	var reads atomic.Int32
	outOfOrder := errors.New("the API is out of order")
	watched := interceptor.NewClient(api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if reads.Add(1); failing.Load() {
				return outOfOrder
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	name := testInstallation.ChargeName("shop", "order")
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		keys := testInstallation.PathKeys()
		before := keys.ID("mtn", name)
		l := &PathKeyLoader{Keys: keys, Live: watched, Namespace: keyName.Namespace, Every: 30 * time.Second,
			Log: funcr.New(func(_, args string) { logs.WriteString(args) }, funcr.Options{})}
		if l.NeedLeaderElection() {
			t.Error("only the leader learns new keys")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Start(ctx) }()
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if reads.Load() != 2 || keys.ID("mtn", name) == before {
			t.Errorf("%d reads; the new key does not sign", reads.Load())
		}
		after := keys.ID("mtn", name)
		failing.Store(true)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, key := keys.Verify("mtn", after); key != 0 || !strings.Contains(logs.String(), outOfOrder.Error()) {
			t.Errorf("a failure took the keys, or was not said: %s", logs.String())
		}
	})
}
