package installation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// ReferenceVersion names the derivations in this file. They are frozen by
// golden vectors: a changed one would charge every open payment again.
const ReferenceVersion = "v2"

// Installation is what names and references are derived from.
type Installation struct {
	// ID of the installation. Two installations that share a merchant account
	// must differ in it; one that takes over from another must keep it.
	ID string
	// Given: the id was given by a flag, and not made. Until it is, nothing is sent
	// in production: a rebuilt cluster would make another one.
	Given bool
	// Key for fingerprints, and what callback paths are signed with where there is
	// no key of their own. It never leaves the cluster.
	Key []byte
}

// Made tells whether this installation made a Charge, and this version knows how. It touches no other one.
func (i Installation) Made(c *v1alpha1.Charge) bool {
	return c.Spec.InstallationID == i.ID && c.Spec.ReferenceVersion == ReferenceVersion
}

// digest hashes length-prefixed parts, so that no two lists of parts are alike.
func digest(domain string, parts ...string) [32]byte {
	h := sha256.New()
	h.Write([]byte(domain))
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return [32]byte(h.Sum(nil))
}

func (i Installation) keyed(domain string, parts ...string) []byte {
	sum := digest(domain, parts...)
	mac := hmac.New(sha256.New, i.Key)
	mac.Write(sum[:])
	return mac.Sum(nil)
}

// SaleDigest is that of a sale: the namespace and the name of its Payment. It holds nothing else, so that one sale has
// one record in a cluster, whoever runs the operator and under whatever installation id.
func SaleDigest(namespace, name string) [32]byte { return digest("sale/v2", namespace, name) }

// ChargeName is the name of the one Charge that a sale can have. The API server lets one creator win.
func (Installation) ChargeName(namespace, name string) string {
	sum := SaleDigest(namespace, name)
	return chargePrefix + nameEncoding().EncodeToString(sum[:chargeBytes])
}

// ReferenceDigest is what the provider's reference is made of. It holds no account, uid, time, count or amount, so that
// whoever asks again asks under the same name, and sandbox money never counts in production.
func (i Installation) ReferenceDigest(provider, environment, namespace, name string) [32]byte {
	return digest("payment-ref/v2", i.ID, provider, environment, namespace, name)
}

// CorrelationTag tells the requests of this Charge from those of an earlier one under the same reference, whose record
// is lost. It identifies nothing: a request that is repeated keeps its reference, and the provider its first answer.
func CorrelationTag(c *v1alpha1.Charge) string {
	sum := digest("correlation-tag/v2", c.Spec.Payment.UID)
	return "c-" + hex.EncodeToString(sum[:6])
}

// RefundDigest is what the provider's reference of a refund is made of: the payment's
// own reference, and the Refund's name.
func (Installation) RefundDigest(paymentReference, refund string) [32]byte {
	return digest("refund-ref/v2", paymentReference, refund)
}

// Fingerprint of the intent of a Payment: provider, money, phone and the merchant's
// reference. It is keyed, so that no phone number can be guessed from it, and names
// its key, so that one made with another key is not taken for a conflict.
func (i Installation) Fingerprint(p *v1alpha1.Payment, currency string) string {
	mac := i.keyed("fingerprint/v2", p.Spec.Provider, p.Spec.Amount.Canonical(), currency, p.Spec.Phone, p.Spec.Reference)
	return i.KeyID() + ":" + hex.EncodeToString(mac)
}

// MadeFingerprint tells whether a fingerprint was made with this installation's key.
func (i Installation) MadeFingerprint(fingerprint string) bool {
	id, _, _ := strings.Cut(fingerprint, ":")
	return id == i.KeyID()
}

// UnknownID is the id of an Unknown: another object, another reason or time, or another report have another one. It is
// keyed, so that nobody can write a settlement before there is something to settle.
func (i Installation) UnknownID(chargeUID, objectUID, reason string, since time.Time, r *v1alpha1.Reported) string {
	parts := []string{chargeUID, objectUID, reason, since.UTC().Format(time.RFC3339)}
	if r != nil {
		parts = append(parts, r.Amount, r.Currency, r.TransactionID, r.Code)
	}
	return hex.EncodeToString(i.keyed("unknown/v2", parts...)[:10])
}

// Payer stands for a phone. It is keyed, so that no number can be guessed from it.
func (i Installation) Payer(phone string) string {
	return hex.EncodeToString(i.keyed("payer/v1", phone)[:16])
}

// Credentials tells credentials apart without keeping them.
func (i Installation) Credentials(sum [32]byte) string {
	return hex.EncodeToString(i.keyed("credentials/v1", string(sum[:]))[:16])
}

// KeyID tells keys apart.
func (i Installation) KeyID() string {
	sum := digest("key/v1", string(i.Key))
	return hex.EncodeToString(sum[:4])
}

// CallbackDigest tells callbacks apart without keeping what they say: bodies hold phones.
func (i Installation) CallbackDigest(body []byte) string {
	return hex.EncodeToString(i.keyed("callback-digest/v1", string(body))[:16])
}
