package account_test

import (
	"errors"
	"slices"
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

var badSelector = v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{
	MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Sometimes"}},
}}

var waveEnvironment = map[string]string{"WAVE_API_KEY": canary}

// The order: accountRef, else the namespace's account of the provider's name,
// else the cluster's if it allows the namespace, else the operator's own.
func TestWhichAccount(t *testing.T) {
	own := merchant("shop", "wave", "wave")
	other := merchant("shop", "second", "wave")
	shared := cluster("wave", "wave", names("shop"))
	closed := cluster("wave", "wave", names("bakery"))
	byRef := func(kind, name string) []func(*v1alpha1.Payment) {
		return []func(*v1alpha1.Payment){through(kind, name)}
	}
	cases := map[string]struct {
		objects  []client.Object
		operator map[string]string
		payment  []func(*v1alpha1.Payment)
		want     string // identity
	}{
		"the one that is named":          {objects: []client.Object{own, other, shared}, operator: waveEnvironment, payment: byRef("MerchantAccount", "second"), want: "MerchantAccount/shop/second"},
		"the cluster's one if named":     {objects: []client.Object{own, shared}, operator: waveEnvironment, payment: byRef("ClusterMerchantAccount", "wave"), want: "ClusterMerchantAccount//wave"},
		"the namespace's own":            {objects: []client.Object{own, other, shared}, operator: waveEnvironment, want: "MerchantAccount/shop/wave"},
		"the cluster's":                  {objects: []client.Object{other, shared}, operator: waveEnvironment, want: "ClusterMerchantAccount//wave"},
		"the operator's":                 {objects: []client.Object{other}, operator: waveEnvironment, want: "Operator//wave"},
		"not a cluster's that is shut":   {objects: []client.Object{closed}, operator: waveEnvironment, want: "Operator//wave"},
		"not one that is unreadable":     {objects: []client.Object{cluster("wave", "wave", badSelector)}, operator: waveEnvironment, want: "Operator//wave"},
		"not one of another namespace":   {objects: []client.Object{merchant("bakery", "wave", "wave")}, operator: waveEnvironment, want: "Operator//wave"},
		"not one at another provider":    {objects: []client.Object{merchant("shop", "wave", "mtn"), shared}, want: "ClusterMerchantAccount//wave"},
		"nor a cluster's at another":     {objects: []client.Object{cluster("wave", "mtn", names("shop"))}, operator: waveEnvironment, want: "Operator//wave"},
		"the operator's of the provider": {operator: map[string]string{"WAVE_API_KEY": canary, "MTN_USER_ID": canary}, want: "Operator//wave"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := setUp(t, c.objects...).operator(c.operator)
			a := f.resolve(payment("shop", "wave", c.payment...))
			if a.Identity() != c.want || a.Provider != "wave" {
				t.Errorf("%s at %s, want %s", a.Identity(), a.Provider, c.want)
			}
			if want := a.Pin.Kind + "/" + a.Pin.Name; account.DisplayName(a.Pin) != want {
				t.Errorf("for people: %s", account.DisplayName(a.Pin))
			}
		})
	}
}

func TestAllowedNamespaces(t *testing.T) {
	both := selector("pay", "yes")
	both.Names = []string{"bakery"}
	cases := map[string]struct {
		allowed v1alpha1.AllowedNamespaces
		want    map[string]bool
	}{
		"none":           {v1alpha1.AllowedNamespaces{}, map[string]bool{"shop": false, "bakery": false}},
		"names":          {names("shop"), map[string]bool{"shop": true, "bakery": false}},
		"a prefix":       {names("sho", "shop-2"), map[string]bool{"shop": false}},
		"selector":       {selector("pay", "yes"), map[string]bool{"shop": true, "bakery": false}},
		"other selector": {selector("pay", "no"), map[string]bool{"shop": false, "bakery": false}},
		"empty selector": {v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{}}, map[string]bool{"shop": true, "bakery": true}},
		"either":         {both, map[string]bool{"shop": true, "bakery": true, "kiosk": false}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := setUp(t, cluster("wave", "wave", c.allowed),
				namespace("shop", map[string]string{"pay": "yes"}), namespace("bakery", nil), namespace("kiosk", nil))
			for ns, allowed := range c.want {
				for _, p := range []*v1alpha1.Payment{payment(ns, "wave"), payment(ns, "wave", through("ClusterMerchantAccount", "wave"))} {
					a, err := f.Resolve(f.ctx, p)
					switch {
					case allowed && (err != nil || a.Identity() != "ClusterMerchantAccount//wave"):
						t.Errorf("%s: %+v, %v", ns, a, err)
					case !allowed && p.Spec.AccountRef == nil:
						expectProblem(t, err, v1alpha1.ReasonAccountNotFound, `"wave"`, "ClusterMerchantAccount of that name allow it")
					case !allowed:
						expectProblem(t, err, v1alpha1.ReasonAccountNotAllowed, `"wave"`, `"`+ns+`"`, "allowedNamespaces")
					}
				}
			}
		})
	}
}

func TestProblems(t *testing.T) {
	says := func(f *fixture, p *v1alpha1.Payment, reason string, words ...string) {
		t.Helper()
		a, err := f.Resolve(f.ctx, p)
		if a != nil {
			t.Errorf("an account all the same: %s", a.Identity())
		}
		expectProblem(t, err, reason, words...)
	}
	by := func(kind, name string) *v1alpha1.Payment { return payment("shop", "mtn", through(kind, name)) }
	says(setUp(t), payment("shop", "mpesa"), v1alpha1.ReasonProviderNotSupported, `"mpesa"`, "with mtn, orange or wave")
	says(setUp(t), payment("shop", "mtn"), v1alpha1.ReasonAccountNotFound,
		`Create a MerchantAccount named "mtn" in this namespace`, "ClusterMerchantAccount")

	// An accountRef to nothing, to what is the operator's, at another provider, of others.
	says(setUp(t, merchant("shop", "mtn", "mtn"), merchant("bakery", "second", "mtn")), by("MerchantAccount", "second"),
		v1alpha1.ReasonAccountNotFound, `MerchantAccount "second"`, "Create it")
	says(setUp(t, merchant("shop", "second", "mtn")), by("ClusterMerchantAccount", "second"),
		v1alpha1.ReasonAccountNotAllowed, `ClusterMerchantAccount "second"`)
	says(setUp(t).operator(map[string]string{"MTN_USER_ID": canary}), by("Operator", "mtn"),
		v1alpha1.ReasonAccountNotFound, `"Operator"`, "Use MerchantAccount or ClusterMerchantAccount")
	says(setUp(t, merchant("shop", "main", "orange")), by("MerchantAccount", "main"),
		v1alpha1.ReasonAccountMismatch, `"main"`, "at orange", "not at mtn", "another account")
	says(setUp(t, cluster("mtn", "mtn", names("bakery"))).operator(map[string]string{"MTN_USER_ID": canary}), by("ClusterMerchantAccount", "mtn"),
		v1alpha1.ReasonAccountNotAllowed, `"mtn"`, `namespace "shop"`)
	// The name of one provider, an account at another.
	says(setUp(t, merchant("shop", "mtn", "orange")), payment("shop", "mtn"),
		v1alpha1.ReasonAccountMismatch, `MerchantAccount "mtn"`, "at orange", "Create it again as one at mtn")

	// Endpoints that are not allowed, or are none.
	at := func(base, token string) func(*v1alpha1.MerchantAccountSpec) {
		return func(s *v1alpha1.MerchantAccountSpec) {
			s.BaseURL, s.Orange = base, &v1alpha1.OrangeAccount{TokenURL: token}
		}
	}
	wave := func(base string) *fixture { return setUp(t, merchant("shop", "wave", "wave", at(base, ""))) }
	says(wave("https://evil.example/x"), payment("shop", "wave"), v1alpha1.ReasonEndpointNotAllowed,
		`"evil.example"`, "--allowed-endpoints=evil.example", "leave baseURL")
	says(wave("https://sim.example"), payment("shop", "wave"), v1alpha1.ReasonEndpointNotAllowed, `"sim.example"`)
	says(wave("https://sim.example:8443@evil.example"), payment("shop", "wave"), v1alpha1.ReasonEndpointNotAllowed, `"evil.example"`)
	says(setUp(t, merchant("shop", "orange", "orange", at("https://sim.example:8443/orange-money-webpay/dev/v1", "https://evil.example/token"))),
		payment("shop", "orange"), v1alpha1.ReasonEndpointNotAllowed, `"evil.example"`)
	says(wave("sim.example"), payment("shop", "wave"), v1alpha1.ReasonAccountMisconfigured, "baseURL must be a URL", "Correct the account")
	says(wave("https://sim.example:8443/%zz"), payment("shop", "wave"), v1alpha1.ReasonAccountMisconfigured, "must be a URL")
	says(wave("https://sim.example:8443/?a=b"), payment("shop", "wave"), v1alpha1.ReasonAccountMisconfigured,
		"MerchantAccount/wave", "baseURL must", "Correct the account")

	// What is missing for production, and contradictions.
	production := func(s *v1alpha1.MerchantAccountSpec) { s.Environment = "production" }
	target := func(word string) func(*v1alpha1.MerchantAccountSpec) {
		return func(s *v1alpha1.MerchantAccountSpec) { s.MTN = &v1alpha1.MTNAccount{TargetEnvironment: word} }
	}
	says(setUp(t, merchant("shop", "mtn", "mtn", production)), payment("shop", "mtn"), v1alpha1.ReasonAccountMisconfigured,
		"MerchantAccount/mtn", "targetEnvironment is needed in production", "mtnivorycoast")
	says(setUp(t, merchant("shop", "mtn", "mtn", production, target("production"))), payment("shop", "mtn"),
		v1alpha1.ReasonAccountMisconfigured, "targetEnvironment")
	says(setUp(t, merchant("shop", "mtn", "mtn", target("mtnivorycoast"))), payment("shop", "mtn"), v1alpha1.ReasonAccountMisconfigured, "contradict")
	says(setUp(t, merchant("shop", "orange", "orange", production)), payment("shop", "orange"), v1alpha1.ReasonAccountMisconfigured, "country is needed")
	says(setUp(t).operator(map[string]string{"MTN_USER_ID": canary, "MTN_ENVIRONMENT": "production"}), payment("shop", "mtn"),
		v1alpha1.ReasonAccountMisconfigured, "targetEnvironment is needed in production", "environment variables MTN_*")
	says(setUp(t).operator(map[string]string{"MTN_USER_ID": canary, "MTN_ENVIRONMENT": "live"}), payment("shop", "mtn"),
		v1alpha1.ReasonAccountMisconfigured, "Correct MTN_ENVIRONMENT", "sandbox or production")
	says(setUp(t).operator(map[string]string{"ORANGE_CLIENT_ID": canary, "ORANGE_API_URL": "sim.example/else"}), payment("shop", "orange"),
		v1alpha1.ReasonAccountMisconfigured, "baseURL must", "ORANGE_*")

	// What is wrong with an account of the platform team is told to its owner.
	f := setUp(t, cluster("wave", "wave", names("shop"), at("https://evil.example", "")))
	_, err := f.Resolve(f.ctx, payment("shop", "wave"))
	expectProblem(t, err, v1alpha1.ReasonEndpointNotAllowed, "ClusterMerchantAccount/wave", "platform team")
	expectForManager(t, err, `"evil.example"`)
	f = setUp(t, cluster("wave", "wave", names("shop")), secret("shop", "wave-credentials", keysOf("wave")))
	_, err = f.Client(f.ctx, f.resolve(payment("shop", "wave")))
	expectProblem(t, err, v1alpha1.ReasonCredentialsNotFound, "ClusterMerchantAccount/wave", "platform team")
	expectForManager(t, err, `Secret "wave-credentials" in the operator's namespace`, "apiKey")
}

// A tenant cannot tell an account of the platform team that does not allow it from
// one that does not exist: not by name, and not by leaving the name out.
func TestH16NoProbingForClusterAccounts(t *testing.T) {
	say := func(p *v1alpha1.Payment, objects ...client.Object) string {
		_, err := setUp(t, append(objects, namespace("shop", nil))...).Resolve(t.Context(), p)
		if err == nil {
			t.Fatal("an account all the same")
		}
		return err.Error()
	}
	for name, p := range map[string]*v1alpha1.Payment{
		"named": payment("shop", "wave", through("ClusterMerchantAccount", "wave")), "by default": payment("shop", "wave"),
	} {
		nothing := say(p)
		for what, there := range map[string]client.Object{
			"allows nobody": cluster("wave", "wave", names()), "allows another": cluster("wave", "wave", names("bakery")),
			"by label": cluster("wave", "wave", selector("pay", "yes")), "unreadable": cluster("wave", "wave", badSelector), "at another provider": cluster("wave", "mtn", names("bakery")),
		} {
			if got := say(p, there); got != nothing {
				t.Errorf("%s, %s: %q; without any: %q", name, what, got, nothing)
			}
		}
	}
}

// A namespace that lost its leave has nothing sent any more; what was sent is
// followed, and what was paid can be given back.
func TestNoFirstRequestWithoutLeave(t *testing.T) {
	o := cluster("mtn", "mtn", names("bakery"))
	f := setUp(t, o, secret(operatorNamespace, "mtn-credentials", keysOf("mtn")), namespace("shop", nil))
	for name, c := range map[string]struct {
		record v1alpha1.ChargeRecord
		closed bool
	}{
		"nothing sent":      {v1alpha1.ChargeRecord{}, true},
		"every send void":   {v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{Sends: 2}}, true},
		"may have arrived":  {v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{Sends: 2, Open: []v1alpha1.Send{{Number: 1}}}}, false},
		"found by a search": {v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{Taken: &v1alpha1.Taken{Found: true}}}, false},
		"paid":              {v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{Outcome: &v1alpha1.Outcome{}}}, false},
	} {
		made := open("order", pinOf(o))
		made.Record = c.record
		pinned, err := f.Pinned(f.ctx, made)
		must(t, err)
		now, err := f.ClosedNow(f.ctx, pinned, made)
		must(t, err)
		if (now != nil) != c.closed || (pinned.Closed != nil) != c.closed {
			t.Errorf("%s: %v, %v", name, pinned.Closed, now)
		}
		if c.closed {
			expectProblem(t, now, v1alpha1.ReasonAccountNotAllowed, "ClusterMerchantAccount/mtn", `"shop"`, "nothing was sent")
		}
	}
}

// Who may use an account of the platform team learns from it neither what its Secret
// is called nor what is in it; the platform team does.
func TestH16NothingOfTheOperatorsSecretsIsTold(t *testing.T) {
	holding := func(data map[string]string) *corev1.Secret {
		return secret(operatorNamespace, "wave-credentials", data)
	}
	foreign := holding(keysOf("wave"))
	foreign.Type = corev1.SecretTypeTLS
	for name, c := range map[string]struct {
		secret  *corev1.Secret
		reason  string
		manager string
	}{
		"none":         {nil, v1alpha1.ReasonCredentialsNotFound, "apiKey"},
		"empty":        {holding(nil), v1alpha1.ReasonCredentialsIncomplete, "apiKey"},
		"two lines":    {holding(map[string]string{"apiKey": canary + "\n" + canary}), v1alpha1.ReasonAccountMisconfigured, "apiKey"},
		"another type": {foreign, v1alpha1.ReasonAccountMisconfigured, `Secret "wave-credentials"`},
		"too long":     {holding(map[string]string{"apiKey": strings.Repeat(canary, 16<<10)}), v1alpha1.ReasonAccountMisconfigured, "apiKey"},
		"a thousand":   {holding(map[string]string{"webhookSecret": strings.Repeat(canary+"\n", 1000)}), v1alpha1.ReasonAccountMisconfigured, "webhookSecret"},
	} {
		objects := []client.Object{cluster("wave", "wave", names("shop"))}
		if c.secret != nil {
			objects = append(objects, c.secret)
		}
		f := setUp(t, objects...)
		_, err := f.Client(f.ctx, f.resolve(payment("shop", "wave")))
		expectProblem(t, err, c.reason, "ClusterMerchantAccount/wave", "platform team")
		for _, word := range []string{"wave-credentials", "apiKey", "webhookSecret", "Secret", operatorNamespace} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: %s is in %q", name, word, err)
			}
		}
		expectForManager(t, err, c.manager)
	}
	f := setUp(t, cluster("mtn", "mtn", names("shop")), secret(operatorNamespace, "mtn-credentials", keysOf("mtn")))
	_, err := f.RefundClient(f.ctx, f.resolve(payment("shop", "mtn")))
	expectProblem(t, err, v1alpha1.ReasonRefundNotConfigured, "ClusterMerchantAccount/mtn", "platform team", "continues automatically")
	expectForManager(t, err, `Secret "mtn-credentials"`, "disbursementUserID")
}

// A provider's own hosts need no leave of the operator, at https and its default port; another provider's do.
func TestOwnHosts(t *testing.T) {
	for _, c := range []struct {
		provider, base, token string
		want                  string // base URL; empty: refused
	}{
		{"mtn", "https://sandbox.momodeveloper.mtn.com/", "", "https://sandbox.momodeveloper.mtn.com"},
		{"mtn", "https://proxy.momoapi.mtn.com", "", "https://proxy.momoapi.mtn.com"},
		{"mtn", "https://momoapi.momo.africa", "", "https://momoapi.momo.africa"},
		{"mtn", "https://momoapi.momo.africa:443", "", "https://momoapi.momo.africa:443"},
		{"orange", "https://api.orange.com/orange-money-webpay/dev/v1", "https://api.orange.com/oauth/v2/token", "https://api.orange.com/orange-money-webpay/dev/v1"},
		{"orange", "", "https://api.orange.com/oauth/v2/token", "https://api.orange.com/orange-money-webpay/dev/v1"},
		{"wave", "https://api.wave.com", "", "https://api.wave.com"},

		{"mtn", "http://momoapi.momo.africa", "", ""},
		{"mtn", "https://momodeveloper.mtn.com", "", ""}, // a portal
		{"mtn", "https://api.wave.com", "", ""},
		{"orange", "https://api.orange.com/orange-money-webpay/dev/v1", "https://api.wave.com/token", ""},
		{"wave", "https://api.orange.com", "", ""},
	} {
		f := setUp(t, merchant("shop", c.provider, c.provider, func(s *v1alpha1.MerchantAccountSpec) {
			s.BaseURL, s.Orange = c.base, &v1alpha1.OrangeAccount{TokenURL: c.token}
		}))
		a, err := f.Resolve(f.ctx, payment("shop", c.provider))
		if c.want == "" {
			expectProblem(t, err, v1alpha1.ReasonEndpointNotAllowed)
			continue
		}
		if err != nil || a.Pin.BaseURL != c.want || (c.token != "" && a.Pin.TokenURL != c.token) {
			t.Errorf("%+v: %+v, %v", c, a, err)
		}
	}
}

// What the API does not tell is nobody's fault, and never another account.
func TestAPIFailures(t *testing.T) {
	objects := []client.Object{merchant("shop", "wave", "wave"), cluster("wave", "wave", selector("a", "b")), namespace("shop", nil)}
	for broken, objects := range map[string][]client.Object{
		"MerchantAccount":        objects,
		"ClusterMerchantAccount": objects[1:],
		"Namespace":              objects[1:],
		"Secret":                 objects,
	} {
		t.Run(broken, func(t *testing.T) {
			f := setUp(t, objects...).operator(waveEnvironment)
			f.broken = broken
			a, err := f.Resolve(f.ctx, payment("shop", "wave"))
			if broken == "Secret" {
				must(t, err)
				_, err = f.Client(f.ctx, a)
			}
			var p *account.Problem
			if !errors.Is(err, errAPI) || errors.As(err, &p) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a pinned account", func(t *testing.T) {
		f := setUp(t, objects...)
		c := charge(payment("shop", "wave"), f.resolve(payment("shop", "wave")))
		f.broken = "MerchantAccount"
		var p *account.Problem
		if _, err := f.Pinned(f.ctx, c); !errors.Is(err, errAPI) || errors.As(err, &p) {
			t.Errorf("%v", err)
		}
	})
}

func TestAccountSettings(t *testing.T) {
	f := setUp(t,
		merchant("shop", "mtn", "mtn"),
		merchant("shop", "orange", "orange", func(s *v1alpha1.MerchantAccountSpec) {
			s.Environment, s.Country, s.Currency, s.MerchantName = "production", "cm", "XAF", "The Shop"
			s.Polling.Interval = &metav1.Duration{Duration: 90 * time.Second}
			s.ReturnURL, s.CancelURL = "https://shop.example/r", "https://shop.example/c"
		}),
		merchant("shop", "wave", "wave", func(s *v1alpha1.MerchantAccountSpec) { s.BaseURL = "https://sim.example:8443/wave/" }),
	)
	a := f.resolve(payment("shop", "mtn"))
	want := v1alpha1.AccountPin{
		Kind: "MerchantAccount", Namespace: "shop", Name: "mtn", Environment: "sandbox",
		BaseURL: "https://sandbox.momodeveloper.mtn.com", TargetEnvironment: "sandbox",
	}
	if a.Pin != want || a.Interval != 2*time.Minute || a.Currency != "XOF" || a.Kind.Traits.Flow != providers.FlowPush {
		t.Errorf("mtn: %+v", a)
	}
	a = f.resolve(payment("shop", "orange"))
	want = v1alpha1.AccountPin{
		Kind: "MerchantAccount", Namespace: "shop", Name: "orange", Environment: "production",
		BaseURL: "https://api.orange.com/orange-money-webpay/cm/v1", TokenURL: "https://api.orange.com/oauth/v3/token",
	}
	if a.Pin != want || a.Interval != 90*time.Second || a.Currency != "XAF" || a.Country != "cm" || a.MerchantName != "The Shop" ||
		a.ReturnURL != "https://shop.example/r" || a.CancelURL != "https://shop.example/c" || a.CallbackURL != "" {
		t.Errorf("orange: %+v", a)
	}
	if a = f.resolve(payment("shop", "wave")); a.Pin.BaseURL != "https://sim.example:8443/wave" {
		t.Errorf("wave: %+v", a.Pin)
	}
}

// Credentials come from the Payment's own namespace, or from the operator's for a cluster account
// that names it. Nothing a tenant writes leads elsewhere.
func TestNoOtherNamespacesCredentials(t *testing.T) {
	victim := []client.Object{
		merchant("victim", "wave", "wave"), merchant("victim", "main", "wave"),
		secret("victim", "wave-credentials", map[string]string{"apiKey": "victims", "webhookSecret": "victims"}),
		secret(operatorNamespace, "wave-credentials", map[string]string{"apiKey": "operators"}),
		secret(operatorNamespace, "platform", map[string]string{"apiKey": "platforms"}),
		cluster("wave", "wave", names("victim"), func(s *v1alpha1.MerchantAccountSpec) { s.SecretRef.Name = "platform" }),
	}
	for _, ref := range []*v1alpha1.AccountReference{
		nil,
		{Kind: "MerchantAccount", Name: "main"},
		{Kind: "MerchantAccount", Name: "victim/main"},
		{Kind: "MerchantAccount", Name: "../victim/main"},
		{Kind: "ClusterMerchantAccount", Name: "wave"},
		{Kind: "ClusterMerchantAccount", Name: "victim/wave"},
		{Kind: "", Name: "wave"},
	} {
		f := setUp(t, victim...)
		p := payment("attacker", "wave", func(p *v1alpha1.Payment) { p.Spec.AccountRef = ref })
		if a, err := f.Resolve(f.ctx, p); err == nil {
			t.Errorf("%+v: %s", ref, a.Identity())
		}
		if slices.ContainsFunc(f.reads, func(s string) bool { return strings.HasPrefix(s, "Secret") || strings.Contains(s, " victim/") }) {
			t.Errorf("%+v: %v", ref, f.reads)
		}
	}

	// An account of the attacker's own namespace reads Secrets there only, also if it names one that exists elsewhere.
	for _, name := range []string{"wave-credentials", "platform", "victim/wave-credentials"} {
		f := setUp(t, append(victim, merchant("attacker", "wave", "wave", func(s *v1alpha1.MerchantAccountSpec) { s.SecretRef.Name = name }))...)
		a := f.resolve(payment("attacker", "wave"))
		_, err := f.Client(f.ctx, a)
		expectProblem(t, err, v1alpha1.ReasonCredentialsNotFound, "in this namespace")
		if last := f.reads[len(f.reads)-1]; last != "Secret attacker/"+name {
			t.Errorf("read %s", last)
		}
	}

	// A Charge of the attacker's that pins the victim's account by name.
	f := setUp(t, victim...)
	c := charge(payment("attacker", "wave"), &account.Account{Pin: v1alpha1.AccountPin{Kind: "MerchantAccount", Namespace: "victim", Name: "main"}})
	_, err := f.Pinned(f.ctx, c)
	expectProblem(t, err, v1alpha1.ReasonAccountNotFound)
}

func TestPinned(t *testing.T) {
	onSim := func(s *v1alpha1.MerchantAccountSpec) { s.BaseURL = "https://sim.example:8443/wave" }
	elsewhere := func(s *v1alpha1.MerchantAccountSpec) {
		s.BaseURL, s.Environment, s.SecretRef.Name = "https://evil.example", "production", "rotated"
	}
	pin := v1alpha1.AccountPin{Kind: "MerchantAccount", Namespace: "shop", Name: "wave", Environment: "sandbox", BaseURL: "https://sim.example:8443/wave"}
	clusterPin := v1alpha1.AccountPin{Kind: "ClusterMerchantAccount", Name: "wave", Environment: "sandbox", BaseURL: "https://sim.example:8443/wave"}

	cases := map[string]struct {
		before, after client.Object // nil: gone
		want          v1alpha1.AccountPin
		secret        string
		reason        string
		words         []string
	}{
		"as it was":                   {before: merchant("shop", "wave", "wave", onSim), after: merchant("shop", "wave", "wave", onSim), want: pin, secret: "shop/wave-credentials"},
		"edited":                      {before: merchant("shop", "wave", "wave", onSim), after: merchant("shop", "wave", "wave", elsewhere), want: pin, secret: "shop/rotated"},
		"gone":                        {before: merchant("shop", "wave", "wave", onSim), reason: v1alpha1.ReasonAccountNotFound, words: []string{"MerchantAccount/wave", "Create it again"}},
		"at another provider":         {before: merchant("shop", "wave", "wave", onSim), after: merchant("shop", "wave", "mtn", onSim), reason: v1alpha1.ReasonAccountMismatch, words: []string{"MerchantAccount/wave", "Create it again as it was"}},
		"cluster, edited":             {before: cluster("wave", "wave", names("shop"), onSim), after: cluster("wave", "wave", names("shop"), elsewhere), want: clusterPin, secret: operatorNamespace + "/rotated"},
		"cluster, no longer allowed":  {before: cluster("wave", "wave", names("shop"), onSim), after: cluster("wave", "wave", v1alpha1.AllowedNamespaces{}, onSim), want: clusterPin, secret: operatorNamespace + "/wave-credentials"},
		"cluster, selector broken":    {before: cluster("wave", "wave", names("shop"), onSim), after: cluster("wave", "wave", badSelector, onSim), want: clusterPin, secret: operatorNamespace + "/wave-credentials"},
		"cluster, the namespace gone": {before: cluster("wave", "wave", names("shop"), onSim), after: cluster("wave", "wave", selector("a", "b"), onSim), want: clusterPin, secret: operatorNamespace + "/wave-credentials"},
		"cluster, gone":               {before: cluster("wave", "wave", names("shop"), onSim), reason: v1alpha1.ReasonAccountNotFound, words: []string{"ClusterMerchantAccount/wave"}},
		"cluster, not allowed and at another provider": {
			before: cluster("wave", "wave", names("shop"), onSim), after: cluster("wave", "mtn", names("bakery"), onSim), reason: v1alpha1.ReasonAccountMismatch,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := setUp(t, c.before)
			p := payment("shop", "wave")
			made := charge(p, f.resolve(p))
			must(t, f.api.Delete(f.ctx, c.before))
			if c.after != nil {
				must(t, f.api.Create(f.ctx, c.after.DeepCopyObject().(client.Object)))
			}
			a, err := f.Pinned(f.ctx, made)
			if c.reason != "" {
				expectProblem(t, err, c.reason, c.words...)
				return
			}
			must(t, err)
			if a.Pin != c.want || a.Kind.Traits.Recovery != providers.RecoverBySearch {
				t.Errorf("%+v, want %+v", a.Pin, c.want)
			}
			// Credentials are today's, the endpoint is yesterday's.
			_, err = f.Client(f.ctx, a)
			expectProblem(t, err, v1alpha1.ReasonCredentialsNotFound)
			if last := f.reads[len(f.reads)-1]; last != "Secret "+c.secret {
				t.Errorf("read %s, want %s", last, c.secret)
			}
		})
	}
}

func TestPinnedToTheOperator(t *testing.T) {
	f := setUp(t).operator(map[string]string{"MTN_USER_ID": canary, "MTN_API_SECRET": canary, "MTN_SUBSCRIPTION_KEY": canary, "MTN_API_URL": "https://one.example/"})
	p := payment("shop", "mtn")
	made := charge(p, f.resolve(p))

	f.operator(map[string]string{"MTN_USER_ID": canary, "MTN_API_SECRET": canary, "MTN_SUBSCRIPTION_KEY": canary, "MTN_API_URL": "https://two.example", "MTN_ENVIRONMENT": "production", "MTN_TARGET_ENVIRONMENT": "mtnivorycoast"})
	a, err := f.Pinned(f.ctx, made)
	must(t, err)
	if a.Pin != made.Spec.Account || a.Pin.BaseURL != "https://one.example" || a.Pin.Environment != "sandbox" {
		t.Errorf("%+v", a.Pin)
	}
	// Not even a mistake there keeps open charges from being followed, at a trusted host.
	f.AllowedEndpoints = []string{"one.example"}
	f.operator(map[string]string{"MTN_USER_ID": canary, "MTN_API_SECRET": canary, "MTN_SUBSCRIPTION_KEY": canary, "MTN_ENVIRONMENT": "live"})
	a, err = f.Pinned(f.ctx, made)
	must(t, err)
	f.client(a)

	f.operator(waveEnvironment)
	_, err = f.Pinned(f.ctx, made)
	expectProblem(t, err, v1alpha1.ReasonAccountNotFound, "the operator's own mtn account", "Set them again")
	delete(f.Registry, "mtn")
	_, err = f.Pinned(f.ctx, made)
	expectProblem(t, err, v1alpha1.ReasonProviderNotSupported, `"mtn"`)
}

// A callback's path names an account; whether it allows a namespace does not
// matter, because it can only wake charges that were made through it.
func TestForCallbacks(t *testing.T) {
	f := setUp(t,
		merchant("shop", "main", "wave"), cluster("shared", "wave", selector("a", "b")), cluster("closed", "wave", v1alpha1.AllowedNamespaces{}),
		secret("shop", "wave-credentials", map[string]string{"webhookSecret": "of the shop"}),
		secret(operatorNamespace, "wave-credentials", map[string]string{"webhookSecret": "of the platform"}),
	).operator(map[string]string{"WAVE_WEBHOOK_SECRET": "of the operator"})
	good := []struct{ kind, namespace, name, want string }{
		{"MerchantAccount", "shop", "main", "of the shop"},
		{"ClusterMerchantAccount", "", "shared", "of the platform"},
		{"ClusterMerchantAccount", "", "closed", "of the platform"},
		{"Operator", "", "wave", "of the operator"},
	}
	for _, c := range good {
		a, err := f.ForCallbacks(f.ctx, "wave", c.kind, c.namespace, c.name)
		must(t, err)
		secrets, err := f.CallbackSecrets(f.ctx, a)
		must(t, err)
		if len(secrets) != 1 || secrets[0].Reveal() != c.want {
			t.Errorf("%s/%s/%s: %d secrets", c.kind, c.namespace, c.name, len(secrets))
		}
	}
	bad := []struct{ provider, kind, namespace, name, reason string }{
		{"mpesa", "MerchantAccount", "shop", "main", v1alpha1.ReasonProviderNotSupported},
		{"wave", "MerchantAccount", "shop", "other", v1alpha1.ReasonAccountNotFound},
		{"wave", "MerchantAccount", "bakery", "main", v1alpha1.ReasonAccountNotFound},
		{"wave", "ClusterMerchantAccount", "", "main", v1alpha1.ReasonAccountNotFound},
		{"orange", "MerchantAccount", "shop", "main", v1alpha1.ReasonAccountMismatch},
		{"orange", "Operator", "", "orange", v1alpha1.ReasonAccountNotFound},
		{"wave", "Nonsense", "shop", "main", v1alpha1.ReasonAccountNotFound},
	}
	for _, c := range bad {
		_, err := f.ForCallbacks(f.ctx, c.provider, c.kind, c.namespace, c.name)
		expectProblem(t, err, c.reason)
	}
}
