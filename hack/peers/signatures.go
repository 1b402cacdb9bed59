package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/wave"
)

// The vector that Wave publishes (Wave webhooks, signing secret).
const (
	publishedSecret = "wave_sn_WHS_xz4m6g8rjs9bshxy05xj4khcvjv7j3hcp4fbpvv6met0zdrjvezg"
	publishedTime   = 1667920421
	publishedSum    = "53c971695230e9c51b1030d673eee76e70bbcdf8a7c5b8c1d44e0b8b1329647b"

	ownSecret = "wave_ci_WHS_peers"
)

//go:embed testdata/wave-published-event.json
var publishedEvent string

const signatureHeader = "Wave-Signature"

// signatures of Wave, by OpenSSL: there is nothing between timestamp and body.
func (p *peers) signatures(ctx context.Context) error {
	return errors.Join(p.publishedVector(ctx), p.simulatorSigns(ctx), p.opensslSigns(ctx), p.adapterSigns(ctx))
}

func (p *peers) hmac(ctx context.Context, secret, text string) (string, error) {
	out, err := output(ctx, p.dir, text, "openssl", "dgst", "-sha256", "-hmac", secret)
	if err != nil {
		return "", err
	}
	fields := strings.Fields(out)
	if len(fields) == 0 {
		return "", errors.New("openssl said nothing")
	}
	return fields[len(fields)-1], nil
}

func (p *peers) publishedVector(ctx context.Context) error {
	sum, err := p.hmac(ctx, publishedSecret, strconv.Itoa(publishedTime)+publishedEvent)
	if err != nil {
		return err
	}
	at := time.Unix(publishedTime, 0)
	header := fmt.Sprintf("t=%d,v1=%s", publishedTime, sum)
	if sum != publishedSum || header != simulator.WaveSignature(at, []byte(publishedEvent), publishedSecret) {
		return fmt.Errorf("wave's published vector gives %s", sum)
	}
	if err := accepted(header, publishedEvent, at, publishedSecret); err != nil {
		return fmt.Errorf("wave's published vector: %w", err)
	}
	p.ok("Wave, OpenSSL: the published signature, by simulator and adapter too")
	return nil
}

// simulatorSigns: the signature of a callback is the one that OpenSSL makes.
func (p *peers) simulatorSigns(ctx context.Context) error {
	got := make(chan received, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil {
			got <- received{r.Header.Get(signatureHeader), string(body)}
		}
	}))
	defer receiver.Close()
	callback := simulator.WaveCallback{URL: receiver.URL, SigningSecrets: []string{ownSecret}}
	return simulating(simulator.Options{Wave: simulator.WaveOptions{Callbacks: []simulator.WaveCallback{callback}}}, func(sim *simulator.Simulator) error {
		if err := payAtOnce(ctx, sim.WaveURL()); err != nil {
			return err
		}
		select {
		case cb := <-got:
			if err := p.verify(ctx, ownSecret, cb.signature, cb.body); err != nil {
				return fmt.Errorf("the simulator's callback: %w", err)
			}
			p.ok("Wave, OpenSSL: the signature of the simulator's callback")
			return nil
		case <-ctx.Done():
			return fmt.Errorf("no callback: %w", ctx.Err())
		}
	})
}

type received struct{ signature, body string }

func payAtOnce(ctx context.Context, url string) error {
	body := `{"amount":"1901","currency":"XOF","success_url":"https://shop.example/","error_url":"https://shop.example/"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/checkout/sessions", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+simulator.DefaultWaveKey)
	return answers(http.DefaultClient, req, http.StatusOK)
}

// verify a header t=…,v1=… by OpenSSL.
func (p *peers) verify(ctx context.Context, secret, header, body string) error {
	stamp, v1, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	if !ok {
		return fmt.Errorf("%s is no signature", header)
	}
	sum, err := p.hmac(ctx, secret, stamp+body)
	if err == nil && sum != v1 {
		err = fmt.Errorf("signed %s, and openssl makes %s", v1, sum)
	}
	return err
}

// opensslSigns: what OpenSSL signed is accepted, and nothing else is.
func (p *peers) opensslSigns(ctx context.Context) error {
	const event = `{"id":"EV_1","type":"checkout.session.completed","data":{"id":"cos-1","client_reference":"ref-1"}}`
	const stamp = "1790000000"
	at := time.Unix(1790000000, 0)
	for what, text := range map[string]string{"": stamp + event, "with a dot": stamp + "." + event, "of another body": stamp + event + " "} {
		sum, err := p.hmac(ctx, ownSecret, text)
		if err != nil {
			return err
		}
		switch err := accepted("t="+stamp+",v1="+sum, event, at, ownSecret); {
		case what == "" && err != nil:
			return fmt.Errorf("openssl's signature is refused: %w", err)
		case what != "" && !errors.Is(err, providers.ErrBadCallback):
			return fmt.Errorf("a signature %s: %w", what, errors.Join(err, errors.New("it is not refused as forged")))
		}
	}
	p.ok("Wave, OpenSSL: the adapter takes its signatures, and no others")
	return nil
}

// accepted asks the adapter to verify a callback.
func accepted(header, body string, at time.Time, secret string) error {
	_, err := wave.Callbacks{}.ParseCallback(providers.CallbackRequest{
		Header: http.Header{signatureHeader: {header}}, Body: []byte(body), Now: at,
		Secrets: []providers.Secret{providers.Secret(secret)},
	})
	return err
}

// adapterSigns: the signature of a request is the one that OpenSSL makes.
func (p *peers) adapterSigns(ctx context.Context) error {
	wire := &recorder{}
	account := providers.Account{Environment: providers.Production, BaseURL: "https://wave.example", Credentials: map[string]providers.Secret{
		wave.KeyAPI: "key", wave.KeySigning: ownSecret,
	}}
	client, err := wave.Kind().New(account, wire, time.Now)
	if err != nil {
		return err
	}
	_, err = client.Initiate(ctx, providers.InitiateRequest{
		Reference: "ref-1", Money: providers.Money{Amount: "1000", Currency: "XOF"},
		ReturnURL: "https://shop.example/", CancelURL: "https://shop.example/",
	})
	if len(wire.call.Body) == 0 {
		return fmt.Errorf("the adapter sent nothing: %w", err)
	}
	if err := p.verify(ctx, ownSecret, wire.call.Header.Get(signatureHeader), string(wire.call.Body)); err != nil {
		return fmt.Errorf("the adapter's request: %w", err)
	}
	p.ok("Wave, OpenSSL: the signature of the adapter's request")
	return nil
}

type recorder struct{ call providers.Call }

func (r *recorder) Do(_ context.Context, call providers.Call) (providers.Answer, error) {
	r.call = call
	return providers.Answer{Status: http.StatusServiceUnavailable}, nil
}
