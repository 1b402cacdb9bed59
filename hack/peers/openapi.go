package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
	"mobilemoney.dev/operator/providers/wave"
)

// openAPI lets the adapters of Orange and Wave drive the simulator through a
// proxy that holds every request and answer against an OpenAPI document.
func (p *peers) openAPI(ctx context.Context) error {
	return simulating(simulator.Options{}, func(sim *simulator.Simulator) error {
		return errors.Join(p.through(ctx, "orange", sim, orangeFlow), p.through(ctx, "wave", sim, waveFlow))
	})
}

// flow is a story that an adapter tells a provider at url, with who plays the
// payer; it returns the calls that have to fit.
type flow func(ctx context.Context, url string, sim *simulator.Simulator) ([]string, error)

func (p *peers) through(ctx context.Context, provider string, sim *simulator.Simulator, tell flow) error {
	proxy, err := newProxy(ctx, p.dir+"/documents/"+provider+".yaml", sim.URL()+"/"+provider)
	if err != nil {
		return err
	}
	server := httptest.NewServer(proxy)
	want, err := tell(ctx, server.URL, sim)
	if err == nil {
		err = misfit(ctx, server.URL)
	}
	server.Close()
	for _, call := range want {
		if !slices.ContainsFunc(proxy.fits, func(fit string) bool { return strings.HasSuffix(fit, call) }) {
			err = errors.Join(err, fmt.Errorf("%s was never made", call))
		}
	}
	// The one is misfit's.
	if err != nil || len(proxy.violations) != 1 {
		return fmt.Errorf("%s: %w: %s", provider, errors.Join(err, errors.New("not as documented")), strings.Join(proxy.violations, "; "))
	}
	p.ok(fmt.Sprintf("%s, kin-openapi v0.153.0: %d requests of the adapter, and the simulator's answers, are as documented",
		strings.ToUpper(provider[:1])+provider[1:], len(proxy.fits)))
	return nil
}

// misfit makes sure that the proxy would say so.
func misfit(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/checkout/sessions", strings.NewReader(`{"amount":1000}`))
	if err != nil {
		return err
	}
	return answers(http.DefaultClient, req, statusMisfit)
}

func build(kind providers.Kind, a providers.Account) (providers.Provider, error) {
	a, err := kind.Endpoint(a)
	if err != nil {
		return nil, err
	}
	return kind.New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), time.Now)
}

func initiateRequest(reference string, money providers.Money) providers.InitiateRequest {
	return providers.InitiateRequest{
		Reference: reference, Money: money, Payer: "+2250700000000", Description: "Order 1",
		CallbackURL: "https://hooks.example/1", ReturnURL: "https://shop.example/ok", CancelURL: "https://shop.example/no",
	}
}

// settle asks for the status until it is the wanted one: a payer needs a moment.
func settle(ctx context.Context, p providers.Provider, h providers.Handle, want providers.State) error {
	s, err := p.Status(ctx, h)
	if err == nil && s.State != want {
		err = fmt.Errorf("the state is %s, not %s", s.State, want)
	}
	return err
}

func orangeFlow(ctx context.Context, url string, sim *simulator.Simulator) ([]string, error) {
	p, err := build(orange.Kind(), providers.Account{
		Environment: providers.Sandbox, MerchantName: "Shop", BaseURL: url + "/orange-money-webpay/dev/v1", TokenURL: url + "/oauth/v3/token",
		Credentials: map[string]providers.Secret{
			orange.KeyClientID: simulator.DefaultOrangeClientID, orange.KeyClientSecret: simulator.DefaultOrangeClientSecret,
			orange.KeyMerchant: simulator.DefaultOrangeMerchantKey,
		},
	})
	if err != nil {
		return nil, err
	}
	money := providers.Money{Amount: "1200", Currency: "OUV"}
	for reference, end := range map[string]func(string) error{"paid-1": sim.Pay, "refused-1": sim.Refuse} {
		opened, err := p.Initiate(ctx, initiateRequest(reference, money))
		if err != nil {
			return nil, err
		}
		h := providers.Handle{Reference: reference, Money: money, Token: opened.Token}
		want := map[string]providers.State{"paid-1": providers.StateSucceeded, "refused-1": providers.StateFailed}[reference]
		if err := errors.Join(settle(ctx, p, h, providers.StateNotStarted), end(reference), settle(ctx, p, h, want)); err != nil {
			return nil, err
		}
	}
	if _, err := p.Initiate(ctx, initiateRequest("paid-1", money)); providers.ClassOf(err) != providers.ClassAlreadyExists {
		return nil, fmt.Errorf("an order id that was used: %w", err)
	}
	return []string{"/oauth/v3/token 200", "/v1/webpayment 201", "/v1/webpayment 403", "/v1/transactionstatus 201"}, nil
}

func waveFlow(ctx context.Context, url string, sim *simulator.Simulator) ([]string, error) {
	p, err := build(wave.Kind(), providers.Account{
		Environment: providers.Production, BaseURL: url,
		Credentials: map[string]providers.Secret{wave.KeyAPI: simulator.DefaultWaveKey},
	})
	if err != nil {
		return nil, err
	}
	money := providers.Money{Amount: "1200", Currency: "XOF"}
	open := func(reference string) (providers.Handle, error) {
		opened, err := p.Initiate(ctx, initiateRequest(reference, money))
		return providers.Handle{Reference: reference, Money: money, SessionID: opened.ID}, err
	}
	paid, err := open("paid")
	if err != nil {
		return nil, err
	}
	over, err := open("over")
	if err != nil {
		return nil, err
	}
	found, err := p.(providers.Searcher).Search(ctx, "paid")
	if err != nil || len(found) != 1 || found[0].ID != paid.SessionID {
		return nil, fmt.Errorf("the search found %d sessions: %w", len(found), err)
	}
	cancel, refund := p.(providers.Canceller).Cancel, p.(providers.Refunder)
	back := providers.RefundRequest{RefundHandle: providers.RefundHandle{Money: money, Payment: paid}}
	err = errors.Join(
		sim.Refuse("paid"), settle(ctx, p, paid, providers.StatePending), // a try that failed
		sim.Pay("paid"), settle(ctx, p, paid, providers.StateSucceeded),
		cancel(ctx, over), settle(ctx, p, over, providers.StateExpired),
		refund.Refund(ctx, back),
	)
	if err != nil {
		return nil, err
	}
	if s, err := refund.RefundStatus(ctx, back.RefundHandle); err != nil || s.State != providers.StateSucceeded || sim.RefundedAmount("paid") != "1200" {
		return nil, fmt.Errorf("the refund is %s: %w", s.State, err)
	}
	if err := cancel(ctx, paid); providers.ClassOf(err) != providers.ClassAlreadyExists {
		return nil, fmt.Errorf("a session that is over was cancelled: %w", err)
	}
	return []string{"/v1/checkout/sessions 200", "/search 200", "/expire 200", "/expire 409", "/refund 200", "/" + paid.SessionID + " 200"}, nil
}
