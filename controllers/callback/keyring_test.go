package callback

import (
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/controllers/account"
)

// A wrong proof reads nothing: neither the API nor, for an account that is loaded, the
// cache. An unknown account is answered as a wrong proof is.
func TestG6_ABadProofCausesNoRead(t *testing.T) {
	m := newMarket(t)
	body := waveBody(m.a.reference())
	for _, path := range []string{pathA, pathB, pathCluster, pathOperator} {
		m.expect(http.StatusUnauthorized, http.MethodPost, path, body, "Wave-Signature", signature(m.now, body, "wrong"))
		m.expect(http.StatusUnauthorized, http.MethodPost, path, body)
	}
	m.expectReads(0)
	for _, path := range []string{"/callbacks/wave/account/tenant-a/unknown", "/callbacks/wave/cluster/unknown"} {
		for _, secret := range []string{"wrong", secretA, ""} {
			m.expect(http.StatusUnauthorized, http.MethodPost, path, body, "Wave-Signature", signature(m.now, body, secret))
		}
	}
	for _, r := range m.reads {
		if r != "get MerchantAccount" && r != "get ClusterMerchantAccount" { // of the cache
			t.Errorf("read: %s", r)
		}
	}
	m.expectWrites(0)
}

func TestG6_EveryAccountCostsTheSameWork(t *testing.T) {
	m := newMarket(t)
	for name, have := range map[string]int{"none": 0, "one": 1, "two": 2, "four": 4} {
		own := m.Keyring.padded(nil)[:have]
		if got := m.Keyring.padded(own); len(got) != padding {
			t.Errorf("%s: %d secrets are tried", name, len(got))
		}
	}
	if a, b := m.Keyring.padded(nil)[0], (&Keyring{}).padded(nil)[0]; a == b || len(a.Reveal()) < 40 {
		t.Error("the secret that nobody has can be guessed")
	}
}

// An account that is there and not loaded yet is no reason to refuse: the sender
// comes again. Once it is loaded, it is one.
func TestG7_WhatIsNotLoadedYetIsAnswered503(t *testing.T) {
	m := newMarket(t)
	body := waveBody(m.a.reference())
	proof := []string{"Wave-Signature", signature(m.now, body, secretA)}
	m.Receiver.Keyring = &Keyring{Reader: m.Client, Accounts: m.resolver, Refresh: 30 * time.Second}
	m.expect(http.StatusServiceUnavailable, http.MethodPost, pathA, body, proof...)
	m.expect(http.StatusServiceUnavailable, http.MethodPost, pathCluster, body, proof...)
	m.expect(http.StatusUnauthorized, http.MethodPost, "/callbacks/wave/account/tenant-a/unknown", body, proof...)
	m.load()
	m.expect(http.StatusOK, http.MethodPost, pathA, body, proof...)
	m.expectNote(m.a, "checkout.session.completed")
}

func TestG10_KeyringFollowsAccountsAndSecrets(t *testing.T) {
	m := newMarket(t)
	r := m.Keyring.reconciler(account.KindNamespaced)
	name := types.NamespacedName{Namespace: "tenant-a", Name: "wave"}
	own := accountKey{"wave", account.KindNamespaced, "tenant-a", "wave"}
	load := func(wantAfter time.Duration, wantErr bool, want ...string) {
		t.Helper()
		result, err := r.Reconcile(m.ctx, ctrl.Request{NamespacedName: name})
		if (err != nil) != wantErr || result.RequeueAfter != wantAfter {
			t.Errorf("again after %s, %v", result.RequeueAfter, err)
		}
		got, _ := m.Keyring.secrets(own)
		if len(got) != len(want) {
			t.Fatalf("%d secrets, want %v", len(got), want)
		}
		for i := range want {
			if got[i].Reveal() != want[i] {
				t.Errorf("secret %d is another one", i)
			}
		}
	}
	load(30*time.Second, false, secretA)
	must(t, m.api.Update(m.ctx, waveSecret("tenant-a", "wave", "new\n"+secretA)))
	load(30*time.Second, false, "new", secretA)
	// The API is out of order: what is known stays.
	m.onCall = failing("get Secret", errAPI)
	load(0, true, "new", secretA)
	// Not allowed to read it is as good as not there, and no reason to say "later".
	m.onCall = failing("get Secret", apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "wave", errAPI))
	load(30*time.Second, false)
	m.onCall = nil
	load(30*time.Second, false, "new", secretA)
	must(t, m.api.Delete(m.ctx, waveSecret("tenant-a", "wave", "")))
	load(30*time.Second, false)
	must(t, m.api.Delete(m.ctx, waveAccount("tenant-a", "wave")))
	load(0, false)
	if _, loaded := m.Keyring.secrets(own); loaded || m.Keyring.has(account.KindNamespaced, name) {
		t.Error("an account that is gone is still there")
	}
	// An account of the same name at another provider has no keys of the old one,
	// and is not looked at again where its callbacks need none.
	other := waveAccount("tenant-a", "wave")
	other.Spec.Provider = "mtn"
	must(t, m.api.Create(m.ctx, client.Object(other)))
	load(0, false)
}
