package payment

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

// intent is the Charge that p asks for through acct. It is pure: everything in
// it follows from the declaration, the account and the installation. An error
// says that this payment can never be asked for.
func intent(p *v1alpha1.Payment, acct *account.Account, inst installation.Installation) (*v1alpha1.Charge, error) {
	requested := providers.Money{Amount: p.Spec.Amount.String(), Currency: currencyOf(p, acct)}
	wire, err := acct.WireMoney(requested)
	if err != nil {
		return nil, err
	}
	sale := p.SaleReference()
	return &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{Name: inst.ChargeName(p.Namespace, sale)},
		Spec: v1alpha1.ChargeSpec{
			InstallationID:   inst.ID,
			ReferenceVersion: installation.ReferenceVersion,
			Payment: v1alpha1.PaymentIdentity{
				Namespace: p.Namespace,
				Name:      p.Name,
				UID:       string(p.UID),
			},
			Reference:   sale,
			Provider:    p.Spec.Provider,
			Account:     acct.Pin,
			Requested:   v1alpha1.Money(requested),
			Money:       v1alpha1.Money(wire),
			Fingerprint: inst.Fingerprint(p, requested.Currency),
			ProviderReference: acct.Kind.Reference(
				inst.ReferenceDigest(p.Spec.Provider, acct.Identity(), p.Namespace, sale)),
			Payer:          payer(p, acct, inst),
			TimeoutSeconds: timeoutSeconds(p, acct),
		},
	}, nil
}

// payer whose phone rings; empty: none does.
func payer(p *v1alpha1.Payment, acct *account.Account, inst installation.Installation) string {
	if acct.Kind.Traits.Flow != providers.FlowPush {
		return ""
	}
	return inst.Payer(p.Spec.Phone)
}

func currencyOf(p *v1alpha1.Payment, acct *account.Account) string {
	if p.Spec.Currency != "" {
		return p.Spec.Currency
	}
	return acct.Currency
}

// timeoutSeconds in force for the whole life of the Charge, whatever the account
// says later.
func timeoutSeconds(p *v1alpha1.Payment, acct *account.Account) int32 {
	if p.Spec.TimeoutSeconds > 0 {
		return p.Spec.TimeoutSeconds
	}
	return int32(cmp.Or(acct.Timeout, account.DefaultTimeout) / time.Second)
}
