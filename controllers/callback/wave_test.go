package callback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
)

const (
	secretA        = "canary-secret-a"
	secretB        = "canary-secret-b"
	secretCluster  = "canary-secret-cluster"
	secretOperator = "canary-secret-operator"
)

func waveAccount(namespace, name string) *v1alpha1.MerchantAccount {
	return &v1alpha1.MerchantAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.MerchantAccountSpec{
			Provider: "wave", Environment: "production", SecretRef: v1alpha1.SecretReference{Name: name},
		},
	}
}

func waveSecret(namespace, name, value string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{"apiKey": []byte("canary-key"), "webhookSecret": []byte(value)},
	}
}

func waveBody(reference string) string {
	return toJSON(map[string]any{
		"id": "EV_1", "type": "checkout.session.completed",
		"data": map[string]any{"id": "cos-1", "client_reference": reference, "payment_status": "succeeded", "amount": "5000", "currency": "XOF"},
	})
}

// signature signs timestamp and body, once with each secret.
func signature(at time.Time, body string, secrets ...string) string {
	out := fmt.Sprintf("t=%d", at.Unix())
	for _, s := range secrets {
		mac := hmac.New(sha256.New, []byte(s))
		fmt.Fprintf(mac, "%d%s", at.Unix(), body)
		out += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return out
}

// market is an installation with every kind of account, and a sale through each.
type market struct {
	*fixture
	a, b, cluster, closed, operator sale
}

func newMarket(t testing.TB) *market {
	t.Helper()
	cluster := func(name string, allowed v1alpha1.AllowedNamespaces) client.Object {
		return &v1alpha1.ClusterMerchantAccount{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1alpha1.ClusterMerchantAccountSpec{MerchantAccountSpec: waveAccount("", "shared").Spec, AllowedNamespaces: allowed},
		}
	}
	f := setUp(t,
		waveAccount("tenant-a", "wave"), waveSecret("tenant-a", "wave", secretA),
		waveAccount("tenant-b", "wave"), waveSecret("tenant-b", "wave", secretB),
		cluster("shared", v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"pay": "yes"}}}),
		cluster("closed", v1alpha1.AllowedNamespaces{}),
		waveSecret(operatorNamespace, "shared", secretCluster),
	)
	f.resolver.Operator = account.FromEnvironment(func(k string) string {
		return map[string]string{"WAVE_API_KEY": "canary-key", "WAVE_WEBHOOK_SECRET": secretOperator}[k]
	})
	m := &market{
		fixture:  f,
		a:        newSale("tenant-a", "order", "wave"),
		b:        newSale("tenant-b", "order", "wave"),
		cluster:  newSale("tenant-c", "order", "wave", pinned(account.KindCluster, "", "shared")),
		closed:   newSale("tenant-d", "order", "wave", pinned(account.KindCluster, "", "closed")),
		operator: newSale("tenant-e", "order", "wave", pinned(account.KindOperator, "", "wave")),
	}
	f.add(m.sales()...)
	return m
}

func (m *market) sales() []sale { return []sale{m.a, m.b, m.cluster, m.closed, m.operator} }

const (
	pathA        = "/callbacks/wave/account/tenant-a/wave"
	pathB        = "/callbacks/wave/account/tenant-b/wave"
	pathCluster  = "/callbacks/wave/cluster/shared"
	pathClosed   = "/callbacks/wave/cluster/closed"
	pathOperator = "/callbacks/wave"
)

func TestG15_ASecretVerifiesItsOwnAccountOnly(t *testing.T) {
	secretOf := map[string]string{
		pathA: secretA, pathB: secretB, pathCluster: secretCluster, pathClosed: secretCluster, pathOperator: secretOperator,
	}
	for path, right := range secretOf {
		for _, secret := range []string{secretA, secretB, secretCluster, secretOperator} {
			for i := range (&market{}).sales() {
				m := newMarket(t)
				target := m.sales()[i]
				saleOf := map[string]sale{pathA: m.a, pathB: m.b, pathCluster: m.cluster, pathClosed: m.closed, pathOperator: m.operator}
				body := waveBody(target.reference())
				want, woken := http.StatusOK, right == secret && saleOf[path].payment.Namespace == target.payment.Namespace
				if right != secret {
					want = http.StatusUnauthorized
				}
				m.expect(want, http.MethodPost, path, body, "Wave-Signature", signature(m.now, body, secret))
				for _, s := range m.sales() {
					if woken && s.payment.Namespace == target.payment.Namespace {
						m.expectNote(s, "checkout.session.completed")
					} else {
						m.expectNoNote(s)
					}
				}
				m.expectWrites(map[bool]int{true: 1, false: 0}[woken])
			}
		}
	}
}

// What the adapter takes and refuses is tested there; here, that nothing else counts.
func TestG8_AWaveProofIsOfItsAccountAndBody(t *testing.T) {
	at, body := newMarket(t).now, waveBody(newSale("tenant-a", "order", "wave").reference())
	for name, headers := range map[string][]string{
		"a signature": {"Wave-Signature", signature(at, body, "other", secretA)}, "the secret": {"Authorization", "Bearer " + secretA},
	} {
		m := newMarket(t)
		if got := m.send(http.MethodPost, pathA, body, headers...); got != http.StatusOK {
			t.Errorf("%s: HTTP %d", name, got)
		}
		m.expectNote(m.a, "checkout.session.completed")
	}
	m := newMarket(t)
	for name, headers := range map[string][]string{
		"other secret": {"Wave-Signature", signature(at, body, "other")}, "empty secret": {"Wave-Signature", signature(at, body, "")},
		"other body": {"Wave-Signature", signature(at, body+" ", secretA)}, "two headers": {"Wave-Signature", signature(at, body, secretA), "Wave-Signature", signature(at, body, secretA)},
		"nothing": nil, "in another header": {"X-Signature", signature(at, body, secretA)}, "the API key": {"Authorization", "Bearer canary-key"},
		"another's secret": {"Authorization", "Bearer " + secretB}, "basic": {"Authorization", "Basic " + secretA},
		"the secret, and a wrong signature": {"Authorization", "Bearer " + secretA, "Wave-Signature", signature(at, "other", secretA)},
	} {
		if got := m.send(http.MethodPost, pathA, body, headers...); got != http.StatusUnauthorized {
			t.Errorf("%s: HTTP %d", name, got)
		}
	}
	m.expectNoNote(m.a)
	m.expectWrites(0)
	m.expectNotLogged(secretA, secretB, m.a.reference())
}

// A callback has one timestamp, in seconds, of these minutes.
func TestG9_WaveTimestamps(t *testing.T) {
	m := newMarket(t)
	body := waveBody(m.a.reference())
	seconds := func(d time.Duration) string { return signature(m.now.Add(d), body, secretA) }
	for name, header := range map[string]string{
		"old": seconds(-301 * time.Second), "of the future": seconds(31 * time.Second), "of 1970": seconds(-time.Duration(m.now.UnixNano())),
		"negative": seconds(-2 * time.Duration(m.now.UnixNano())), "twice": fmt.Sprintf("t=%d,", m.now.Unix()) + seconds(0),
		"too large": "t=9223372036854775808" + strings.TrimPrefix(seconds(0), fmt.Sprintf("t=%d", m.now.Unix())),
	} {
		if got := m.send(http.MethodPost, pathA, body, "Wave-Signature", header); got != http.StatusUnauthorized {
			t.Errorf("%s: HTTP %d", name, got)
		}
	}
	m.expectWrites(0)
	m.expectReads(0)
	for _, d := range []time.Duration{-300 * time.Second, 30 * time.Second} {
		m.expect(http.StatusOK, http.MethodPost, pathA, body, "Wave-Signature", seconds(d))
	}
	m.expectNote(m.a, "checkout.session.completed")
}

func TestG10_WaveRotation(t *testing.T) {
	m := newMarket(t)
	body := waveBody(m.a.reference())
	m.keep(waveSecret("tenant-a", "wave", "new\n"+secretA+"\n"))
	for i, secret := range []string{"new", secretA} {
		m.now = m.now.Add(time.Minute)
		body := body + strings.Repeat(" ", i) // no repetition
		m.expect(http.StatusOK, http.MethodPost, pathA, body, "Wave-Signature", signature(m.now, body, secret))
		m.expectNote(m.a, "checkout.session.completed")
		m.expectWrites(i + 1)
	}
	m.keep(waveSecret("tenant-a", "wave", "new"))
	m.expect(http.StatusUnauthorized, http.MethodPost, pathA, body, "Wave-Signature", signature(m.now, body, secretA))
	m.expect(http.StatusUnauthorized, http.MethodPost, pathA, body, "Wave-Signature", signature(m.now, body, "new\n"+secretA))
}

type trusting struct{ reference string }

func (p trusting) ParseCallback(providers.CallbackRequest) (providers.Callback, error) {
	return providers.Callback{Claim: "x", Reference: p.reference}, nil
}

// Who has no secret verifies nothing, whatever a parser says: an account that is not
// there, one whose Secret is empty or gone, the operator without the variable.
func TestG8_WaveWithoutSecretVerifiesNothing(t *testing.T) {
	m := newMarket(t)
	kind := m.Registry["wave"]
	kind.Callbacks = trusting{m.a.reference()}
	m.Registry["wave"] = kind
	refused := func(path string) {
		t.Helper()
		m.expect(http.StatusUnauthorized, http.MethodPost, path, "{}")
	}
	refused("/callbacks/wave/account/tenant-a/unknown")
	refused("/callbacks/wave/account/nowhere/wave")
	refused("/callbacks/wave/cluster/unknown")
	for _, value := range []string{"", "\n", " \r\n "} {
		m.keep(waveSecret("tenant-a", "wave", value))
		refused(pathA)
	}
	m.remove(waveSecret("tenant-a", "wave", ""))
	refused(pathA)
	m.resolver.Operator = account.FromEnvironment(func(k string) string { return map[string]string{"WAVE_API_KEY": "canary-key"}[k] })
	refused(pathOperator)
	m.resolver.Operator = nil
	refused(pathOperator)
	m.expectWrites(0)
}

// Verified, but about nothing of ours: taken, so that it is not repeated.
func TestG6_WaveUnknownSession(t *testing.T) {
	m := newMarket(t)
	for name, body := range map[string]string{
		"something else": `{"id":"EV_1","type":"merchant.payment_received","data":{"id":"T_1","client_reference":"` + m.a.reference() + `"}}`,
		"a test":         `{"id":"EV_1","type":"test.test_event","data":{}}`,
		"nothing":        `{}`,
	} {
		if got := m.send(http.MethodPost, pathA, body, "Wave-Signature", signature(m.now, body, secretA)); got != http.StatusOK {
			t.Errorf("%s: HTTP %d", name, got)
		}
	}
	for _, s := range m.sales() {
		m.expectNoNote(s)
	}
	m.expectWrites(0)
	for _, body := range []string{"", "x", "[]", `{"type":7}`, `{"type":"checkout.session.completed","data":7}`} {
		m.expect(http.StatusBadRequest, http.MethodPost, pathA, body, "Wave-Signature", signature(m.now, body, secretA))
	}
}

// session is the one that is recorded for a sale.
func session(id string) func(*sale) {
	return func(s *sale) { s.charge.Record.Session.ID = id }
}

// aboutSession is a callback about a session, whose client_reference is any JSON.
func aboutSession(id string, reference any) string {
	return toJSON(map[string]any{
		"id": "EV_1", "type": "checkout.session.completed",
		"data": map[string]any{"id": id, "client_reference": reference, "payment_status": "succeeded"},
	})
}

// A callback is about the session that it names. A reference that it names too must be that of the same charge.
func TestG6G15_WaveSessions(t *testing.T) {
	shop := pinned(account.KindNamespaced, "tenant-a", "wave")
	one := newSale("tenant-a", "one", "wave", session("cos-one"), shop)
	two := newSale("tenant-a", "two", "wave", session("cos-two"), shop)
	early := newSale("tenant-a", "early", "wave", unansweredSale, shop)
	// Another tenant's provider may call its sessions what it likes.
	foreign := newSale("tenant-b", "foreign", "wave", session("cos-one"))
	atMTN := newSale("tenant-a", "at-mtn", "mtn", session("cos-two"), shop)
	// So may another account of the tenant's own, and a cluster's of the same name.
	second := newSale("tenant-a", "second", "wave", pinned(account.KindNamespaced, "tenant-a", "second"))
	cluster := newSale("tenant-a", "cluster", "wave", pinned(account.KindCluster, "", "wave"))
	sales := []sale{one, two, early, foreign, atMTN, second, cluster}
	for name, c := range map[string]struct {
		session   string
		reference any
		woken     *sale
	}{
		"no reference":                {"cos-one", nil, &one},
		"an empty reference":          {"cos-two", "", &two},
		"both":                        {"cos-one", one.reference(), &one},
		"no session":                  {"", two.reference(), &two},
		"before the answer":           {"cos-early", early.reference(), &early},
		"a surplus session":           {"cos-surplus", one.reference(), &one},
		"of two charges":              {"cos-one", two.reference(), nil},
		"of a charge that knows none": {"cos-one", early.reference(), nil},
		"a reference of nobody":       {"cos-one", "ref-nobody", nil},
		"a reference that is odd":     {"cos-one", one.reference() + "\n", nil},
		"another tenant's reference":  {"cos-one", foreign.reference(), nil},
		"at another provider":         {"", atMTN.reference(), nil},
		"through another account":     {"", second.reference(), nil},
		"through a cluster's":         {"", cluster.reference(), nil},
		"a session of nobody":         {"cos-nobody", nil, nil},
		"a session that is odd":       {"cos-one\n", nil, nil},
		"neither":                     {"", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarket(t)
			m.add(sales...)
			body := aboutSession(c.session, c.reference)
			m.expect(http.StatusUnauthorized, http.MethodPost, pathA, body, "Wave-Signature", signature(m.now, body, secretB))
			m.expectReads(0)
			m.expect(http.StatusOK, http.MethodPost, pathA, body, "Wave-Signature", signature(m.now, body, secretA))
			for i := range sales {
				if c.woken != nil && sales[i].charge.Name == c.woken.charge.Name {
					m.expectNote(sales[i], "checkout.session.completed")
				} else {
					m.expectNoNote(sales[i])
				}
			}
			m.expectWrites(map[bool]int{true: 1, false: 0}[c.woken != nil])
		})
	}
}

// A provider that signs, but whose account names no such keys, proves nothing.
func TestTarget_OfAProviderWithoutSecrets(t *testing.T) {
	m := newMarket(t)
	kind := m.Registry["wave"]
	kind.CallbackSecretKeys = nil
	m.Registry["wave"] = kind
	body := waveBody(m.a.reference())
	m.expect(http.StatusNotFound, http.MethodPost, pathA, body, "Wave-Signature", signature(m.now, body, secretA))
	m.Registry["wave"] = providers.Kind{CallbackSecretKeys: []string{"webhookSecret"}}
	m.expect(http.StatusNotFound, http.MethodPost, pathA, body, "Wave-Signature", signature(m.now, body, secretA))
	m.expect(http.StatusNotFound, http.MethodPost, m.a.path(), body)
	m.expectWrites(0)
}
