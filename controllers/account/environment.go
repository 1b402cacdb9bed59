package account

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// OperatorAccount is an account that the operator's environment describes, so
// that a single-tenant installation needs a Secret and nothing else.
type OperatorAccount struct {
	Pin         v1alpha1.AccountPin
	CallbackURL string
	Credentials map[string]providers.Secret
}

// credentialVariables are the environment variables of each provider's
// credentials; setting any of them describes an account.
func credentialVariables() map[string]map[string]string {
	return map[string]map[string]string{
		"mtn":    {"subscriptionKey": "MTN_SUBSCRIPTION_KEY", "userID": "MTN_USER_ID", "apiSecret": "MTN_API_SECRET"},
		"orange": {"clientID": "ORANGE_CLIENT_ID", "clientSecret": "ORANGE_CLIENT_SECRET", "merchantKey": "ORANGE_MERCHANT_KEY"},
		"wave":   {"apiKey": "WAVE_API_KEY", "webhookSecret": "WAVE_WEBHOOK_SECRET"},
	}
}

// additionalVariables are those of the credentials that an account may have besides; they alone describe none.
func additionalVariables() map[string]map[string]string {
	return map[string]map[string]string{
		"mtn": {
			"disbursementSubscriptionKey": "MTN_DISBURSEMENT_SUBSCRIPTION_KEY", "disbursementUserID": "MTN_DISBURSEMENT_USER_ID",
			"disbursementAPISecret": "MTN_DISBURSEMENT_API_SECRET",
		},
		"wave": {"signingSecret": "WAVE_SIGNING_SECRET"},
	}
}

func environmentName(provider, key string) string {
	return cmp.Or(credentialVariables()[provider][key], additionalVariables()[provider][key])
}

// FromEnvironment reads the operator's own accounts with getenv. A provider none of whose credentials is set has none.
func FromEnvironment(getenv func(string) string) map[string]OperatorAccount {
	accounts := map[string]OperatorAccount{}
	for provider, variables := range credentialVariables() {
		credentials := read(variables, getenv)
		if len(credentials) > 0 {
			maps.Copy(credentials, read(additionalVariables()[provider], getenv))
			accounts[provider] = describe(provider, credentials, getenv)
		}
	}
	return accounts
}

// Hosts that the endpoints of accounts name, without ports.
func Hosts(accounts map[string]OperatorAccount) []string {
	var hosts []string
	for _, a := range accounts {
		for _, endpoint := range []string{a.Pin.BaseURL, a.Pin.TokenURL} {
			if u, err := url.Parse(endpoint); err == nil && u.Hostname() != "" {
				hosts = append(hosts, u.Hostname())
			}
		}
	}
	return hosts
}

func read(variables map[string]string, getenv func(string) string) map[string]providers.Secret {
	credentials := map[string]providers.Secret{}
	for key, variable := range variables {
		if v := strings.TrimSpace(getenv(variable)); v != "" {
			credentials[key] = providers.Secret(v)
		}
	}
	return credentials
}

func describe(provider string, credentials map[string]providers.Secret, environment func(string) string) OperatorAccount {
	// From a Secret that was made with `echo`, every value ends in a newline.
	getenv := func(variable string) string { return strings.TrimSpace(environment(variable)) }
	a := OperatorAccount{Credentials: credentials}
	pin := &a.Pin
	pin.Kind, pin.Name = KindOperator, provider
	switch provider {
	case "mtn":
		pin.BaseURL = getenv("MTN_API_URL")
		pin.TargetEnvironment = getenv("MTN_TARGET_ENVIRONMENT")
		a.CallbackURL = getenv("MTN_CALLBACK_URL")
		pin.Environment = cmp.Or(getenv("MTN_ENVIRONMENT"), string(providers.Sandbox))
	case "orange":
		pin.BaseURL = getenv("ORANGE_API_URL")
		pin.TokenURL = getenv("ORANGE_TOKEN_URL")
		pin.Environment = orangeEnvironment(pin.BaseURL)
	case "wave":
		pin.BaseURL = getenv("WAVE_API_URL")
		// Wave has no sandbox.
		pin.Environment = string(providers.Production)
	}
	pin.BaseURL = strings.TrimRight(pin.BaseURL, "/")
	return a
}

// orangeEnvironment follows from the path: dev is the sandbox, which takes only
// the currency OUV, and any other segment is a country in production.
func orangeEnvironment(baseURL string) string {
	if baseURL == "" {
		return string(providers.Sandbox)
	}
	if u, err := url.Parse(baseURL); err == nil && slices.Contains(strings.Split(u.Path, "/"), "dev") {
		return string(providers.Sandbox)
	}
	return string(providers.Production)
}

// choose returns the account for a new payment.
func (o OperatorAccount) choose(provider string) (*Account, error) {
	if o.Pin.Environment != string(providers.Sandbox) && o.Pin.Environment != string(providers.Production) {
		return nil, problem(v1alpha1.ReasonAccountMisconfigured,
			"The operator's %s environment must be sandbox or production. Correct MTN_ENVIRONMENT.", provider)
	}
	return o.account(provider), nil
}

func (o OperatorAccount) account(provider string) *Account {
	return &Account{
		Pin:         o.Pin,
		Provider:    provider,
		Currency:    "XOF",
		Interval:    DefaultInterval,
		Timeout:     DefaultTimeout,
		CallbackURL: strings.TrimRight(o.CallbackURL, "/"),
		literal:     o.Credentials,
	}
}
