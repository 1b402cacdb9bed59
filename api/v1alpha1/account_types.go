package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MerchantAccount is an account at a provider, for the Payments of its own
// namespace. One that bears the provider's name (mtn, orange, wave) is used by
// every Payment of that provider that names no other.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=mobilemoney
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environment`
// +kubebuilder:printcolumn:name="Currency",type=string,JSONPath=`.spec.currency`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MerchantAccount struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MerchantAccountSpec `json:"spec"`
	// +kubebuilder:default:={"observedGeneration":-1}
	Status MerchantAccountStatus `json:"status,omitzero"`
}

// ClusterMerchantAccount is an account at a provider for the namespaces that it
// allows; by default none. Its Secret is in the operator's namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=mobilemoney
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environment`
// +kubebuilder:printcolumn:name="Currency",type=string,JSONPath=`.spec.currency`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterMerchantAccount struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ClusterMerchantAccountSpec `json:"spec"`
	// +kubebuilder:default:={"observedGeneration":-1}
	Status MerchantAccountStatus `json:"status,omitzero"`
}

// FinalizerCharges keeps an account for as long as open charges need it.
const FinalizerCharges = "mobilemoney.dev/open-charges"

// SecretTypeCredentials is the type that a Secret with credentials may have, besides
// Opaque.
const SecretTypeCredentials = "mobilemoney.dev/credentials"

// AccountStatus is the status, for code that serves both kinds of account.
func (m *MerchantAccount) AccountStatus() *MerchantAccountStatus { return &m.Status }

// AccountStatus is the status, for code that serves both kinds of account.
func (m *ClusterMerchantAccount) AccountStatus() *MerchantAccountStatus { return &m.Status }

// ClusterMerchantAccountSpec is a MerchantAccountSpec with the namespaces that
// may use it.
type ClusterMerchantAccountSpec struct {
	MerchantAccountSpec `json:",inline"`

	// AllowedNamespaces may use the account. Default: none.
	AllowedNamespaces AllowedNamespaces `json:"allowedNamespaces,omitzero"`
}

// AllowedNamespaces selects namespaces; one that either field selects is
// allowed.
type AllowedNamespaces struct {
	// Names of namespaces.
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Names []string `json:"names,omitempty"`

	// Selector of namespaces by label. An empty selector ({}) selects all.
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// MerchantAccountSpec describes an account at a provider. provider says which of
// the members mtn and orange may be there. Open charges go on
// with the endpoint that they began with, whatever changes here.
//
// +kubebuilder:validation:XValidation:rule="self.provider == oldSelf.provider",message="provider cannot change; create another account"
// +kubebuilder:validation:XValidation:rule="self.provider != 'wave' || self.environment != 'sandbox' || has(self.baseURL)",message="wave has no sandbox: write production, or set baseURL to a simulator"
// +kubebuilder:validation:XValidation:rule="self.provider != 'mtn' || self.environment != 'production' || (has(self.mtn) && has(self.mtn.targetEnvironment))",message="mtn.targetEnvironment is required for mtn in production: MTN's word for the country, such as mtnivorycoast"
// +kubebuilder:validation:XValidation:rule="self.provider != 'orange' || self.environment != 'production' || has(self.country) || has(self.baseURL)",message="country is required for orange in production: two letters, such as ci"
// +kubebuilder:validation:XValidation:rule="!has(self.mtn) || self.provider == 'mtn'",message="mtn is for accounts whose provider is mtn; take it out"
// +kubebuilder:validation:XValidation:rule="!has(self.orange) || self.provider == 'orange'",message="orange is for accounts whose provider is orange; take it out"
// +kubebuilder:validation:XValidation:rule="!has(self.wave) || self.provider == 'wave'",message="wave is for accounts whose provider is wave; take it out"
type MerchantAccountSpec struct {
	// Provider of the account: mtn, orange or wave.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="provider must be a lower-case name, such as mtn, orange or wave"
	Provider string `json:"provider"`

	// Environment: sandbox or production.
	// +kubebuilder:validation:Enum=sandbox;production
	Environment string `json:"environment"`

	// Country of the account, two letters (ISO 3166) in lower case.
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]{2}$')",message="country must be two lower-case letters, such as ci"
	Country string `json:"country,omitempty"`

	// Currency of Payments that name none.
	// +kubebuilder:default=XOF
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z]{3}$')",message="currency must be a three-letter ISO 4217 code in capitals, such as XOF"
	Currency string `json:"currency,omitempty"`

	// MerchantName that the payer sees, where the provider shows one.
	// +kubebuilder:validation:MaxLength=30
	// +kubebuilder:validation:XValidation:rule="!self.matches('[\\\\p{C}\\\\p{Zl}\\\\p{Zp}]')",message="merchantName must be plain text on one line, without control characters"
	MerchantName string `json:"merchantName,omitempty"`

	// Suspend stops everything new: Payments and Refunds wait. What was sent already
	// is followed to its end.
	Suspend bool `json:"suspend,omitempty"`

	// SecretRef names the Secret with the credentials, in the account's own
	// namespace (a ClusterMerchantAccount: in the operator's). It is of type Opaque or
	// mobilemoney.dev/credentials. Its keys are,
	// for mtn: subscriptionKey, userID, apiSecret, and for refunds
	// disbursementSubscriptionKey, disbursementUserID, disbursementAPISecret; for
	// orange: clientID, clientSecret, merchantKey; for wave: apiKey, and
	// optionally webhookSecret to verify callbacks (one secret a line) and
	// signingSecret to sign requests.
	SecretRef SecretReference `json:"secretRef"`

	// BaseURL of the provider's API, where it is not the default. Credentials are
	// sent there: the provider's own hosts may be named, any other has to be
	// allowed by the operator.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._/-]*)?$') && isURL(self)",message="baseURL must be an http or https URL without user, query or fragment"
	BaseURL string `json:"baseURL,omitempty"`

	// MTN holds what only accounts at mtn have.
	MTN *MTNAccount `json:"mtn,omitempty"`

	// Orange holds what only accounts at orange have.
	Orange *OrangeAccount `json:"orange,omitempty"`

	// Wave holds what only accounts at wave have.
	Wave *WaveAccount `json:"wave,omitempty"`

	// Polling says how often an open payment is asked about, and for how long.
	Polling Polling `json:"polling,omitzero"`

	// Prompts limits how often payers are prompted on their phones (mtn).
	Prompts Prompts `json:"prompts,omitzero"`

	// RateLimit of the calls through the account.
	RateLimit RateLimit `json:"rateLimit,omitzero"`

	// ReturnURL for Payments that name none.
	ReturnURL BrowserURL `json:"returnURL,omitempty"`

	// CancelURL for Payments that name none.
	CancelURL BrowserURL `json:"cancelURL,omitempty"`
}

// CallbacksDisabled is the value of callbacks that disables them.
const CallbacksDisabled = "Disabled"

// MTNAccount is what only accounts at mtn have.
type MTNAccount struct {
	// TargetEnvironment is MTN's word for the country, such as mtnivorycoast.
	// Never "production".
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]+$') && self != 'production'",message="targetEnvironment must be MTN's word for the country in small letters, such as mtnivorycoast; it is never production"
	TargetEnvironment string `json:"targetEnvironment,omitempty"`

	// Callbacks: Disabled sends mtn no callback URL, so that payments are only
	// polled; needed where the operator's public host is not registered at MTN.
	// +kubebuilder:default=Enabled
	// +kubebuilder:validation:Enum=Enabled;Disabled
	Callbacks string `json:"callbacks,omitempty"`
}

// OrangeAccount is what only accounts at orange have.
type OrangeAccount struct {
	// TokenURL is where access tokens are taken, where that is not on the host of
	// the API.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._/-]*)?$') && isURL(self)",message="tokenURL must be an http or https URL without user, query or fragment"
	TokenURL string `json:"tokenURL,omitempty"`
}

// WaveAccount is what only accounts at wave have.
type WaveAccount struct {
	// AggregatedMerchantID of the merchant, for keys of an aggregator.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$')",message="aggregatedMerchantID must be the merchant's id at Wave, such as am-7lks22ap113t4"
	AggregatedMerchantID string `json:"aggregatedMerchantID,omitempty"`
}

// SecretReference names a Secret.
type SecretReference struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || !format.dns1123Subdomain().validate(self).hasValue()",message="secretRef.name must be the name of a Secret, such as mtn-credentials"
	Name string `json:"name"`
}

// Polling says how often an open payment is asked about, and for how long.
type Polling struct {
	// A pattern instead of the format "duration": that one takes words which Go
	// cannot read ("1 min"), and one such account would stop the informer for all.

	// Interval between two checks, such as 2m (the default); 1s to 1h.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,4}([.][0-9]{1,3})?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="interval must be between 1s and 1h, such as 90s or 2m"
	Interval *metav1.Duration `json:"interval,omitempty"`

	// Timeout after which an undecided payment that names none (timeoutSeconds) is no
	// longer followed closely, such as 1h (the default); 30s to 168h. A payment keeps
	// the one that it began with.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,4}([.][0-9]{1,3})?(ms|s|m|h))+$') && duration(self) >= duration('30s') && duration(self) <= duration('168h')",message="timeout must be between 30s and 168h, such as 30m or 1h"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// RateLimit of the calls through an account.
type RateLimit struct {
	// ChecksPerSecond is how many questions about payments and refunds are asked in a
	// second; 1 to 100. Default: what the provider allows (mtn: 8, below its 10), where it says so.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	ChecksPerSecond int32 `json:"checksPerSecond,omitempty"`
}

// Prompts limits how often payers are prompted. The Payments of a namespace that are
// over a limit wait.
type Prompts struct {
	// PerPhone is how many prompts one phone gets in an hour from the Payments of one
	// namespace. Default: 20, unless the operator was started with another number.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	PerPhone int32 `json:"perPhone,omitempty"`

	// PerNamespace is how many prompts payers get in an hour from the Payments of one
	// namespace. Default: 3000, unless the operator was started with another number.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	PerNamespace int32 `json:"perNamespace,omitempty"`
}

// MerchantAccountStatus says whether an account can be used.
type MerchantAccountStatus struct {
	// Conditions: Ready says whether the account can be used, and if not, why.
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// ObservedGeneration is the generation of the spec that status speaks of.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// MerchantAccountList is a list of MerchantAccounts.
//
// +kubebuilder:object:root=true
type MerchantAccountList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MerchantAccount `json:"items"`
}

// ClusterMerchantAccountList is a list of ClusterMerchantAccounts.
//
// +kubebuilder:object:root=true
type ClusterMerchantAccountList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterMerchantAccount `json:"items"`
}
