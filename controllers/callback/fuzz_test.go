package callback

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// knocked is a path with what opens it, and whom it wakes.
type genuineSender struct {
	path, secret string
	sale         sale
}

// Whatever a stranger sends: the receiver never breaks, and writes only a note, on a
// payment whose own secret verified it.
func FuzzReceiver(f *testing.F) {
	m := newMarket(f)
	mtnSale, orangeSale := newSale("shop", "at-mtn", "mtn"), newSale("shop", "at-orange", "orange")
	over := newSale("shop", "over", "mtn", ended(v1alpha1.PhaseSucceeded))
	m.add(mtnSale, orangeSale, over)
	// Writes are seen and not made, so that each run finds the same API.
	m.Client = interceptor.NewClient(m.intercept().(client.WithWatch), interceptor.Funcs{
		SubResourceApply: func(_ context.Context, _ client.Client, sub string, o runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
			m.writes = append(m.writes, sub+" "+toJSON(o))
			return nil
		},
	})
	senders := []genuineSender{
		{mtnSale.path(), "", mtnSale}, {orangeSale.path(), notifToken, orangeSale}, {over.path(), "", over},
		{pathA, secretA, m.a}, {pathB, secretB, m.b}, {pathOperator, secretOperator, m.operator}, {pathCluster, secretCluster, m.cluster}, {pathClosed, secretCluster, m.closed},
	}
	for i, d := range senders {
		for _, body := range []string{mtnBody, orangeBody("SUCCESS", notifToken), orangeBody("SUCCESS", "wrong"), waveBody(d.sale.reference()), waveBody(m.a.reference()), "", "{}", "[]", "<html>", `{"status":`, strings.Repeat(`{"a":`, 1000)} {
			f.Add("POST", d.path, body, signature(m.now, body, d.secret), "", uint8(i), true)
			f.Add("PUT", d.path, body, "t=1,v1=00", "Bearer "+d.secret, uint8(i+1), false)
		}
		f.Add("GET", d.path, "", "", "", uint8(i), false)
		f.Add("POST", d.path+"/../x%00", "{}", "t=,v1=", "Bearer ", uint8(i), false)
	}
	for _, path := range []string{"/return", "/callbacks/mtn/", "/callbacks//x", "/callbacks/wave/account/../..", "*", "/callbacks/wave/cluster/%2e%2e", "//callbacks/wave", "/callbacks/wave/account/tenant-a/\x1b[31m"} {
		f.Add("POST", path, mtnBody, "", "", uint8(0), false)
	}
	handler := m.Handler()
	f.Fuzz(func(t *testing.T, method, target, body, signatureHeader, authorization string, which uint8, genuine bool) {
		d := senders[int(which)%len(senders)]
		if genuine { // of a path that need not be the one that is called
			signatureHeader = signature(m.now, body, d.secret)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil {
			return // no server would see it
		}
		req.Header.Set("Authorization", authorization)
		if signatureHeader != "" {
			req.Header.Set("Wave-Signature", signatureHeader)
		}
		m.writes = nil
		m.logs.Reset()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code >= 500 || m.logs.Len() > 0 {
			t.Fatalf("%s %s: HTTP %d\n%s", method, target, w.Code, m.logs.String())
		}
		checkWrites(t, m, senders, req.URL.Path, body, signatureHeader, authorization, w.Code)
	})
}

// checkWrites: at most one, and only with the secret of that path.
func checkWrites(t *testing.T, m *market, senders []genuineSender, path, body, signatureHeader, authorization string, code int) {
	t.Helper()
	if len(m.writes) == 0 {
		return
	}
	var said struct {
		NotifToken string `json:"notif_token"`
		Data       struct {
			Reference string `json:"client_reference"`
		} `json:"data"`
	}
	_ = json.Unmarshal([]byte(body), &said)
	for _, d := range senders {
		var verified bool
		switch {
		case path != d.path:
			continue
		case d.sale.charge.Spec.Provider == "mtn":
			verified = json.Valid([]byte(body)) && d.sale.payment.Status.Phase != v1alpha1.PhaseSucceeded
		case d.sale.charge.Spec.Provider == "orange":
			verified = said.NotifToken == d.secret
		case signatureHeader == "":
			verified = authorization == "Bearer "+d.secret && said.Data.Reference == d.sale.reference()
		default:
			verified = isSigned(m.now, signatureHeader, body, d.secret) && said.Data.Reference == d.sale.reference()
		}
		if name := d.sale.payment.Name; verified && code == http.StatusOK && len(m.writes) == 1 &&
			strings.HasPrefix(m.writes[0], `status {`) && strings.Contains(m.writes[0], strconv.Quote(name)) {
			return
		}
	}
	t.Fatalf("%s with %q and %q: HTTP %d, and wrote %v", path, signatureHeader, body, code, m.writes)
}

// isSigned: a timestamp of the header that is in time is signed with the secret.
func isSigned(now time.Time, header, body, secret string) bool {
	parts := strings.Split(strings.ToLower(header), ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return slices.ContainsFunc(parts, func(part string) bool {
		text, isTime := strings.CutPrefix(part, "t=")
		at, err := strconv.ParseInt(text, 10, 64)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(text + body))
		inTime := isTime && err == nil && at >= now.Unix()-300 && at <= now.Unix()+30
		return inTime && slices.Contains(parts, "v1="+hex.EncodeToString(mac.Sum(nil)))
	})
}
