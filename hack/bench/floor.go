package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/providers/simulator"
)

// floorOptions are those of the floor.
type floorOptions struct {
	Kubeconfig  string                    `json:"kubeconfig"`
	Listen      string                    `json:"listen"` // host:port of its receiver
	MTN         string                    `json:"mtn"`    // base URL
	Credentials map[string]simulator.Keys `json:"credentials"`
	Workers     int                       `json:"workers"`
}

// floor is what a payment costs at the least: a bare client that makes a fixed list of requests and
// calls for each MTN payment, and decides nothing. It is the measure of the manager and never
// changes with it.
//
//	create Charge · Payment status: fence · GET of a small object (in place of the shard) · POST ·
//	Charge: taken · Payment status: next action · callback note · GET · Charge: outcome · Payment status: terminal
type floor struct {
	floorOptions
	api   *rest.RESTClient
	wire  *http.Client
	begin chan *floorPayment
	end   chan *floorPayment

	mu       sync.Mutex
	payments map[string]*floorPayment // by the id in the path of its callbacks
	tokens   map[string]string        // by namespace
}

// floorPayment is one payment on its way.
type floorPayment struct {
	mu        sync.Mutex // held while a step is done
	payment   *v1alpha1.Payment
	charge    *v1alpha1.Charge
	reference string
	id        string
}

// callbackPath is the manager's, too: what was asked for in its place calls back to it.
const callbackPath = "/callbacks/mtn/"

// watched kinds: one watch is open on each.
var watched = []string{"payments", "charges", "refunds", "merchantaccounts", "clustermerchantaccounts"}

func codecs() runtime.NegotiatedSerializer {
	return serializer.NewCodecFactory(testenv.NewScheme()).WithoutConversion()
}

func runFloor(ctx context.Context, text []byte) error {
	f := &floor{
		wire:  newWire(),
		begin: make(chan *floorPayment, 100_000), end: make(chan *floorPayment, 100_000),
		payments: map[string]*floorPayment{}, tokens: map[string]string{},
	}
	if err := json.Unmarshal(text, &f.floorOptions); err != nil {
		return err
	}
	var err error
	if f.api, err = bareClient(f.Kubeconfig); err != nil {
		return err
	}
	for namespace := range f.Credentials {
		if err := f.token(ctx, namespace); err != nil {
			return err
		}
	}
	failed := make(chan error, 1)
	fail := func(err error) {
		if err != nil && ctx.Err() == nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	for _, resource := range watched {
		w, err := f.watch(ctx, resource)
		if err != nil {
			return err
		}
		go func() { fail(f.follow(resource, w)) }()
	}
	for range f.Workers {
		go func() { fail(f.work(ctx)) }()
	}
	server := &http.Server{Addr: f.Listen, Handler: f, ReadHeaderTimeout: 5 * time.Second}
	go func() { fail(server.ListenAndServe()) }()
	defer server.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func newWire() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}

func (f *floor) watch(ctx context.Context, resource string) (watch.Interface, error) {
	list := &metav1.List{}
	raw, err := f.api.Get().Resource(resource).Param("limit", "1").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, list); err != nil {
		return nil, err
	}
	again := func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		return f.api.Get().Resource(resource).Param("watch", "true").Param("resourceVersion", o.ResourceVersion).
			Param("allowWatchBookmarks", "true").Watch(ctx)
	}
	return watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{WatchFuncWithContext: again})
}

// follow takes new Payments up; what it hears of other kinds is decoded and dropped.
func (f *floor) follow(resource string, w watch.Interface) error {
	for event := range w.ResultChan() {
		if p, ok := event.Object.(*v1alpha1.Payment); ok && event.Type == watch.Added {
			f.begin <- &floorPayment{payment: p}
		}
	}
	return fmt.Errorf("the watch of %s ended", resource)
}

func (f *floor) work(ctx context.Context) error {
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case p := <-f.end:
			err = f.finish(ctx, p)
		default:
			select {
			case <-ctx.Done():
				return nil
			case p := <-f.end:
				err = f.finish(ctx, p)
			case p := <-f.begin:
				err = f.start(ctx, p)
			}
		}
		if err != nil {
			return err
		}
	}
}

// start is what is done until the payer is asked.
func (f *floor) start(ctx context.Context, p *floorPayment) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := metav1.NowMicro()
	p.reference = string(uuid.NewUUID())
	p.id = strings.ReplaceAll(p.reference, "-", "")
	f.mu.Lock()
	f.payments[p.id] = p
	f.mu.Unlock()

	send := v1alpha1.Send{Number: 1, Sender: "floor", At: now, Credentials: strings.Repeat("c", 40)}
	p.charge = &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "floor-" + p.id}, Spec: f.intent(p)}
	p.charge.Record.Sends, p.charge.Record.Open = 1, []v1alpha1.Send{send}
	if err := f.api.Post().Resource("charges").Body(p.charge).Do(ctx).Into(p.charge); err != nil {
		return err
	}
	if err := f.show(ctx, p, v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingAnswer, nil); err != nil {
		return err
	}
	if err := f.api.Get().Namespace(p.payment.Namespace).Resource("merchantaccounts").Name("mtn").Do(ctx).Error(); err != nil {
		return err
	}
	if err := f.post(ctx, p); err != nil {
		return err
	}
	p.charge.Record.Open, p.charge.Record.Taken = nil, &v1alpha1.Taken{Send: 1, At: metav1.NowMicro()}
	if err := f.record(ctx, p); err != nil {
		return err
	}
	return f.show(ctx, p, v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer, &v1alpha1.NextAction{Type: v1alpha1.NextActionApproveOnPhone})
}

// ServeHTTP notes a callback.
func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" {
		return
	}
	f.mu.Lock()
	p := f.payments[strings.TrimPrefix(r.URL.Path, callbackPath)]
	f.mu.Unlock()
	if p == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err := f.note(r.Context(), p); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	f.end <- p
}

func (f *floor) note(ctx context.Context, p *floorPayment) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"lastCallback": v1alpha1.CallbackNote{ReceivedAt: metav1.NowMicro(), Claim: "SUCCESSFUL", Digest: strings.Repeat("d", 40)},
	}})
	if err != nil {
		return err
	}
	return f.api.Patch(types.MergePatchType).Namespace(p.payment.Namespace).Resource("payments").Name(p.payment.Name).
		SubResource("status").Body(patch).Do(ctx).Into(p.payment)
}

// finish is what is done once a callback came.
func (f *floor) finish(ctx context.Context, p *floorPayment) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	transaction, err := f.ask(ctx, p)
	if err != nil {
		return err
	}
	p.charge.Record.Outcome = &v1alpha1.Outcome{
		Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, TransactionID: transaction, Paid: &p.charge.Spec.Money, At: metav1.NowMicro(),
	}
	if err := f.record(ctx, p); err != nil {
		return err
	}
	p.payment.Status.TransactionID, p.payment.Status.CompletedAt = transaction, &metav1.Time{Time: time.Now()}
	if err := f.show(ctx, p, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid, nil); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.payments, p.id)
	return nil
}

func (f *floor) record(ctx context.Context, p *floorPayment) error {
	return f.api.Put().Resource("charges").Name(p.charge.Name).Body(p.charge).Do(ctx).Into(p.charge)
}

// show writes the whole status, as large as the manager's.
func (f *floor) show(ctx context.Context, p *floorPayment, phase v1alpha1.Phase, reason v1alpha1.Reason, next *v1alpha1.NextAction) error {
	st, c := &p.payment.Status, p.charge
	now := metav1.Now()
	st.Phase, st.NextAction, st.ObservedGeneration = phase, next, p.payment.Generation
	st.ChargeName, st.Reference, st.ProviderReference, st.Sends = c.Name, p.payment.Name, p.reference, 1
	st.Account, st.Environment, st.Amount, st.Currency = "MerchantAccount/mtn", "sandbox", c.Spec.Money.Amount, c.Spec.Money.Currency
	if st.InitiatedAt == nil {
		st.InitiatedAt = &now
	}
	state := func(yes bool) metav1.ConditionStatus {
		if yes {
			return metav1.ConditionTrue
		}
		return metav1.ConditionFalse
	}
	done := phase == v1alpha1.PhaseSucceeded
	conditions := map[string]bool{"Finished": done, "Succeeded": done, "Ready": done}
	if !done {
		conditions["Reconciling"] = true
	}
	st.Conditions = nil
	for _, kind := range []string{"Finished", "Succeeded", "Ready", "Reconciling"} {
		if is, shown := conditions[kind]; shown {
			st.Conditions = append(st.Conditions, metav1.Condition{
				Type: kind, Status: state(is), Reason: reason, Message: "Waiting for the payer to approve on the phone.",
				ObservedGeneration: p.payment.Generation, LastTransitionTime: now,
			})
		}
	}
	return f.api.Put().Namespace(p.payment.Namespace).Resource("payments").Name(p.payment.Name).SubResource("status").
		Body(p.payment).Do(ctx).Into(p.payment)
}

func (f *floor) intent(p *floorPayment) v1alpha1.ChargeSpec {
	return v1alpha1.ChargeSpec{
		InstallationID: "floor", ReferenceVersion: "floor",
		Payment:           v1alpha1.PaymentIdentity{Namespace: p.payment.Namespace, Name: p.payment.Name, UID: string(p.payment.UID)},
		MerchantReference: p.payment.Name, Provider: "mtn",
		Account: v1alpha1.AccountPin{
			Kind: "MerchantAccount", Namespace: p.payment.Namespace, Name: "mtn", Environment: "sandbox", BaseURL: f.MTN, TargetEnvironment: "sandbox",
		},
		Requested:   v1alpha1.Money{Amount: p.payment.Spec.Amount.Canonical(), Currency: "XOF"},
		Money:       v1alpha1.Money{Amount: p.payment.Spec.Amount.Canonical(), Currency: "EUR"},
		Fingerprint: strings.Repeat("f", 64), Payer: strings.Repeat("e", 40), CallbackID: p.id, ProviderReference: p.reference, TimeoutSeconds: 3600,
	}
}

func (f *floor) token(ctx context.Context, namespace string) error {
	keys := f.Credentials[namespace]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.MTN+"/collection/token/", nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(keys.ID, keys.Secret)
	req.Header.Set("Ocp-Apim-Subscription-Key", keys.Key)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := f.call(req, http.StatusOK, &answer); err != nil {
		return err
	}
	f.tokens[namespace] = answer.Token
	return nil
}

func (f *floor) post(ctx context.Context, p *floorPayment) error {
	body, err := json.Marshal(map[string]any{
		"amount": p.charge.Spec.Money.Amount, "currency": p.charge.Spec.Money.Currency, "externalId": p.payment.Name,
		"payer":        map[string]string{"partyIdType": "MSISDN", "partyId": strings.TrimPrefix(p.payment.Spec.Phone, "+")},
		"payerMessage": "Payment", "payeeNote": strings.ReplaceAll(p.reference, "-", ""),
	})
	if err != nil {
		return err
	}
	req, err := f.authorized(ctx, p, http.MethodPost, "/collection/v1_0/requesttopay", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Reference-Id", p.reference)
	req.Header.Set("X-Callback-Url", "http://"+f.Listen+callbackPath+p.id)
	req.Header.Set("Content-Type", "application/json")
	return f.call(req, http.StatusAccepted, nil)
}

func (f *floor) ask(ctx context.Context, p *floorPayment) (transaction string, err error) {
	req, err := f.authorized(ctx, p, http.MethodGet, "/collection/v1_0/requesttopay/"+p.reference, nil)
	if err != nil {
		return "", err
	}
	var answer struct {
		Status      string `json:"status"`
		Transaction string `json:"financialTransactionId"`
	}
	if err := f.call(req, http.StatusOK, &answer); err != nil {
		return "", err
	}
	if answer.Status != "SUCCESSFUL" {
		return "", errors.New("the simulator called back about a payment that is not paid")
	}
	return answer.Transaction, nil
}

func (f *floor) authorized(ctx context.Context, p *floorPayment, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.MTN+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+f.tokens[p.payment.Namespace])
	req.Header.Set("X-Target-Environment", "sandbox")
	req.Header.Set("Ocp-Apim-Subscription-Key", f.Credentials[p.payment.Namespace].Key)
	return req, nil
}

func (f *floor) call(req *http.Request, want int, into any) error {
	resp, err := f.wire.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s: %s: %.200s", req.Method, req.URL.Path, resp.Status, content)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(content, into)
}
