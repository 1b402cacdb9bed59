package v1alpha1

// Phase is how far a Payment is. The first three are not terminal.
//
// +kubebuilder:validation:Enum=Pending;Processing;Unknown;Succeeded;Failed;Expired;Cancelled
type Phase string

const (
	// PhasePending: the provider has not been asked.
	PhasePending Phase = "Pending"
	// PhaseProcessing: the provider was asked, or may have been.
	PhaseProcessing Phase = "Processing"
	// PhaseUnknown: whether the payer paid cannot be determined. Nobody is asked for
	// money again; the provider's answer or a person settles it.
	PhaseUnknown Phase = "Unknown"
	// PhaseSucceeded: the provider said, to our own question, that exactly
	// this amount was paid.
	PhaseSucceeded Phase = "Succeeded"
	// PhaseFailed: certain not to be paid.
	PhaseFailed Phase = "Failed"
	// PhaseExpired: the payer let the time pass; certain not to be paid.
	PhaseExpired Phase = "Expired"
	// PhaseCancelled: called off before it was paid.
	PhaseCancelled Phase = "Cancelled"
)

// Terminal reports whether the phase is final.
func (p Phase) Terminal() bool {
	switch p {
	case PhaseSucceeded, PhaseFailed, PhaseExpired, PhaseCancelled:
		return true
	default:
		return false
	}
}

// Condition types of a Payment. All are written by the payment controller.
const (
	// ConditionFinished is True in any terminal phase.
	ConditionFinished = "Finished"
	// ConditionSucceeded goes from Unknown to True or False, once.
	ConditionSucceeded = "Succeeded"
	// ConditionReady mirrors Succeeded, for tools that only know Ready.
	ConditionReady = "Ready"
	// ConditionReconciling is there, and True, while the operator is at work
	// or waits for something that it expects to come (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is there, and True, while only a person or the
	// provider can bring the Payment on (kstatus).
	ConditionStalled = "Stalled"
	// ConditionAdopted is there, and True, when the Payment took up a charge
	// that was made before it existed.
	ConditionAdopted = "Adopted"
	// ConditionLateSettlement is there, and True, when the provider said
	// something else after the Payment was finished. A person has to look.
	ConditionLateSettlement = "LateSettlement"
	// ConditionCancelRequested is there, and True, when the merchant called the
	// payment off; its reason says what came of it.
	ConditionCancelRequested = "CancelRequested"
)

// Reason is the closed list of reasons in conditions and in status.failure.
// docs/payment.md says what to do about each; a test keeps both in step.
type Reason = string

// Reasons of phase Pending: the provider has not been asked, and why.
const (
	ReasonAccepted              Reason = "Accepted"
	ReasonProviderNotSupported  Reason = "ProviderNotSupported"
	ReasonAccountNotFound       Reason = "AccountNotFound"
	ReasonAccountNotAllowed     Reason = "AccountNotAllowed"
	ReasonAccountMismatch       Reason = "AccountMismatch"
	ReasonAccountSuspended      Reason = "AccountSuspended"
	ReasonAccountDeleting       Reason = "AccountDeleting"
	ReasonAccountMisconfigured  Reason = "AccountMisconfigured"
	ReasonEndpointNotAllowed    Reason = "EndpointNotAllowed"
	ReasonCredentialsNotFound   Reason = "CredentialsNotFound"
	ReasonCredentialsIncomplete Reason = "CredentialsIncomplete"
	ReasonProviderUnreachable   Reason = "ProviderUnreachable"
	ReasonProviderThrottled     Reason = "ProviderThrottled"
	ReasonAdoptOnly             Reason = "AdoptOnly"
	// ReasonPromptsLimited: the payer, or the payers of the namespace, were asked
	// too often lately.
	ReasonPromptsLimited Reason = "PromptsLimited"
	// ReasonUnsentChargesLimited: the namespace has too many Charges of which
	// nothing was sent.
	ReasonUnsentChargesLimited Reason = "UnsentChargesLimited"
	// ReasonRecordRefused: the API server refuses the operator's own write, such as
	// by an admission policy or an old CRD.
	ReasonRecordRefused Reason = "RecordRefused"
)

// Reasons of phase Processing.
const (
	ReasonAwaitingPayer      Reason = "AwaitingPayer"
	ReasonAwaitingAnswer     Reason = "AwaitingAnswer"
	ReasonUnrecognizedStatus Reason = "UnrecognizedStatus"
)

// Reasons of phase Unknown.
const (
	ReasonOutcomeUnknown Reason = "OutcomeUnknown"
	ReasonLostInitiation Reason = "LostInitiation"
	ReasonAmountMismatch Reason = "AmountMismatch"
	ReasonReusedName     Reason = "ReusedName"
	// ReasonInstallationChanged: the charge was made under another
	// installation id.
	ReasonInstallationChanged Reason = "InstallationChanged"
)

// Reasons of the terminal phases.
const (
	ReasonPaid              Reason = "Paid"
	ReasonPayerDeclined     Reason = "PayerDeclined"
	ReasonInsufficientFunds Reason = "InsufficientFunds"
	ReasonPayerNotFound     Reason = "PayerNotFound"
	ReasonLimitReached      Reason = "LimitReached"
	ReasonNotAllowed        Reason = "NotAllowed"
	ReasonProviderRefused   Reason = "ProviderRefused"
	ReasonRequestRejected   Reason = "RequestRejected"
	ReasonInvalidRequest    Reason = "InvalidRequest"
	ReasonSaleConflict      Reason = "SaleConflict"
	// ReasonNotAsked: the Payment could not be asked for in time; nobody was asked.
	ReasonNotAsked     Reason = "NotAsked"
	ReasonPayerTimeout Reason = "PayerTimeout"
	ReasonCancelled    Reason = "Cancelled"
	// ReasonSettledPaid and ReasonSettledNotPaid: a person found out and said so.
	ReasonSettledPaid    Reason = "SettledPaid"
	ReasonSettledNotPaid Reason = "SettledNotPaid"
)

// Reasons of CancelRequested.
const (
	// ReasonCancelPending: the operator is ending it.
	ReasonCancelPending Reason = "CancelPending"
	// ReasonCancelNotSupported: the provider cannot, and it is followed to its end.
	ReasonCancelNotSupported Reason = "CancelNotSupported"
	// ReasonCancelTooLate: it had ended otherwise.
	ReasonCancelTooLate Reason = "CancelTooLate"
	// ReasonCancelDone: it ended as Cancelled.
	ReasonCancelDone Reason = "CancelDone"
)

// Reasons of Adopted and LateSettlement, and of account readiness.
const (
	ReasonChargeAdopted  Reason = "ChargeAdopted"
	ReasonContradicted   Reason = "Contradicted"
	ReasonAccountUsable  Reason = "Usable"
	ReasonAccountChecked Reason = "Checked"
	// ReasonDeletionHeld: the account is deleted as soon as no open charge needs it.
	ReasonDeletionHeld Reason = "DeletionHeld"
)

// Labels and annotations.
const (
	// AnnotationAdopt, set to "true" by a user on a Payment, consents to
	// taking up the outcome of an old charge of the same name.
	AnnotationAdopt = "mobilemoney.dev/adopt"
	// AnnotationRequestedAt, set by a user to the present time (RFC 3339), makes one
	// check due; at most one a minute.
	AnnotationRequestedAt = "mobilemoney.dev/requestedAt"
	// LabelRestore is set by Velero on what it restores. A Payment that has
	// it is never a reason to ask a provider for money.
	LabelRestore = "velero.io/restore-name"
)
