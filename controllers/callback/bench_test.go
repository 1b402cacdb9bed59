package callback

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// stored is an API that has one sale and gives copies of it, as a cache does. What is written to it is lost.
type stored struct {
	client.Client
	sale sale
}

func (s stored) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	switch out := o.(type) {
	case *v1alpha1.Charge:
		s.sale.charge.DeepCopyInto(out)
	case *v1alpha1.Payment:
		s.sale.payment.DeepCopyInto(out)
	}
	return nil
}

func (s stored) List(_ context.Context, l client.ObjectList, _ ...client.ListOption) error {
	l.(*v1alpha1.ChargeList).Items = []v1alpha1.Charge{*s.sale.charge.DeepCopy()}
	return nil
}

func (s stored) Status() client.SubResourceWriter { return lost{} }

type lost struct{ client.SubResourceWriter }

func (lost) Apply(context.Context, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
	return nil
}

// void takes an answer.
type void struct {
	header http.Header
	status int
}

func (v *void) Header() http.Header         { return v.header }
func (v *void) Write(b []byte) (int, error) { return len(b), nil }
func (v *void) WriteHeader(status int)      { v.status = status }

// What a callback costs a replica, from the request to the answer, but for the API server. It is a new one each
// time, or the same, which adds nothing; a forged one is refused before anything is read.
func BenchmarkReceiver(b *testing.B) {
	mtn, orange := newSale("shop", "order-1", "mtn"), newSale("shop", "order-1", "orange")
	m := newMarket(b)
	body := waveBody(m.a.reference())
	signed := func(secret string) []string { return []string{"Wave-Signature", signature(m.now, body, secret)} }
	forged := strings.Repeat("A", len(mtn.id()))
	for _, c := range []struct {
		name   string
		of     *fixture
		sale   sale
		path   string
		body   string
		header []string
		again  bool
		want   int
	}{
		{"mtn", setUp(b), mtn, mtn.path(), mtnBody, nil, false, http.StatusOK},
		{"mtn_repeated", setUp(b), mtn, mtn.path(), mtnBody, nil, true, http.StatusOK},
		{"mtn_forged", setUp(b), mtn, "/callbacks/mtn/" + forged, mtnBody, nil, false, http.StatusUnauthorized},
		{"orange", setUp(b), orange, orange.path(), orangeBody("SUCCESS", notifToken), nil, false, http.StatusOK},
		{"orange_forged", setUp(b), orange, orange.path(), orangeBody("SUCCESS", "other"), nil, false, http.StatusUnauthorized},
		{"wave", m.fixture, m.a, pathA, body, signed(secretA), false, http.StatusOK},
		{"wave_forged", m.fixture, m.a, pathA, body, signed(secretB), false, http.StatusUnauthorized},
		{"unknown_path", setUp(b), mtn, "/wp-login.php", "", nil, false, http.StatusNotFound},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.of.Client, c.of.Log = stored{sale: c.sale}, logr.Discard()
			handler, sent := c.of.Handler(), strings.NewReader(c.body)
			req := request(http.MethodPost, c.path, nil, c.header...)
			req.Body = io.NopCloser(sent)
			var note any = noteKey{c.sale.charge.Name, c.of.Digest([]byte(c.body))}
			b.ReportAllocs()
			for b.Loop() {
				sent.Reset(c.body)
				w := void{header: http.Header{}}
				handler.ServeHTTP(&w, req)
				if w.status != c.want {
					b.Fatalf("HTTP %d", w.status)
				}
				if !c.again { // the next one is about something new
					c.of.memory.notes.Remove(note)
					c.of.memory.last.Remove(c.sale.charge.Name)
				}
			}
		})
	}
}
