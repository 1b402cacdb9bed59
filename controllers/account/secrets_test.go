package account_test

import (
	"bytes"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
)

// A Secret that is not made for this is not read, whoever names it, and no message quotes what is in one.
func TestH3ForeignSecrets(t *testing.T) {
	for kind, allowed := range map[corev1.SecretType]bool{
		"": true, corev1.SecretTypeOpaque: true, v1alpha1.SecretTypeCredentials: true,
		corev1.SecretTypeServiceAccountToken: false, corev1.SecretTypeDockerConfigJson: false, corev1.SecretTypeDockercfg: false,
		corev1.SecretTypeTLS: false, corev1.SecretTypeBasicAuth: false, corev1.SecretTypeSSHAuth: false,
		corev1.SecretTypeBootstrapToken: false, "helm.sh/release.v1": false, "opaque": false, canary: false,
	} {
		for _, provider := range []string{"mtn", "orange", "wave"} {
			s := secret("shop", provider+"-credentials", keysOf(provider))
			s.Type = kind
			f := setUp(t, merchant("shop", provider, provider), s)
			a := f.resolve(payment("shop", provider))
			for name, read := range map[string]func() error{
				"client":    func() error { _, err := f.Client(f.ctx, a); return err },
				"callbacks": func() error { _, err := f.CallbackSecrets(f.ctx, a); return err },
			} {
				err := read()
				if allowed && err != nil {
					t.Errorf("%s, %s of type %q: %v", provider, name, kind, err)
				}
				if !allowed {
					expectProblem(t, err, v1alpha1.ReasonAccountMisconfigured, `Secret "`+provider+`-credentials"`, "Name one of type Opaque or mobilemoney.dev/credentials")
				}
			}
		}
	}
}

func TestH3SecretOfAMegabyte(t *testing.T) {
	s := secret("shop", "wave-credentials", keysOf("wave"))
	s.Data["apiKey"] = bytes.Repeat([]byte(canary), 1<<20/len(canary))
	f := setUp(t, merchant("shop", "wave", "wave"), s)
	a := f.resolve(payment("shop", "wave"))
	_, err := f.Client(f.ctx, a)
	expectProblem(t, err, v1alpha1.ReasonAccountMisconfigured, "apiKey", "more than 16384 bytes", "Correct it")
	if len(err.Error()) > 300 {
		t.Errorf("a message of %d bytes", len(err.Error()))
	}
	// What else is in the Secret is not looked at.
	s.Data["apiKey"], s.Data["other"] = []byte("key"), s.Data["apiKey"]
	must(t, f.api.Update(f.ctx, s))
	f.client(a)
}

// Each secret for callbacks costs the receiver, which all tenants share, a MAC over
// whatever a stranger sends. So an account has a few, or none at all.
func TestH3SecretOfAThousandLines(t *testing.T) {
	lines := func(n int) string { return strings.Repeat(canary+"\n\n", n) }
	for n, fits := range map[int]bool{0: true, 1: true, account.MaxCallbackSecrets: true, account.MaxCallbackSecrets + 1: false, 1000: false} {
		s := secret("shop", "wave-credentials", keysOf("wave"))
		s.Data["webhookSecret"] = []byte(lines(n))
		f := setUp(t, merchant("shop", "wave", "wave"), s)
		a := f.resolve(payment("shop", "wave"))
		own := setUp(t).operator(map[string]string{"WAVE_API_KEY": canary, "WAVE_WEBHOOK_SECRET": lines(n)})
		for source, c := range map[string]struct {
			*fixture
			*account.Account
			says []string
		}{
			"Secret":      {f, a, []string{`Secret "wave-credentials"`, "more than 4 secrets in webhookSecret"}},
			"environment": {own, own.resolve(payment("shop", "wave")), []string{"environment", "WAVE_WEBHOOK_SECRET"}},
		} {
			got, err := c.CallbackSecrets(t.Context(), c.Account)
			_, noClient := c.Client(t.Context(), c.Account)
			if fits && (err != nil || noClient != nil || len(got) != n) {
				t.Errorf("%d lines, %s: %d secrets, %v, %v", n, source, len(got), err, noClient)
			}
			if !fits {
				expectProblem(t, err, v1alpha1.ReasonAccountMisconfigured, c.says...)
				expectProblem(t, noClient, v1alpha1.ReasonAccountMisconfigured, c.says...)
			}
		}
	}
}

// Whatever is in the Secret: there is a client, or a Problem that quotes nothing of it.
func TestH3AnySecret(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := secret("shop", "mtn-credentials", nil)
		for _, key := range []string{"subscriptionKey", "userID", "apiSecret", "apikey", "token", ".dockerconfigjson"} {
			if rapid.Bool().Draw(r, key) {
				s.Data[key] = []byte(canary + rapid.String().Draw(r, "value"))
			}
		}
		f := setUp(t, merchant("shop", "mtn", "mtn"), s)
		if _, err := f.Client(f.ctx, f.resolve(payment("shop", "mtn"))); err != nil && strings.Contains(err.Error(), canary) {
			r.Fatalf("%v", err)
		}
	})
}
