package installation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// ReferenceVersion names the derivations in this file. They are frozen by
// golden vectors: a changed one would charge every open payment again.
const ReferenceVersion = "v1"

// Installation is what names and references are derived from.
type Installation struct {
	// ID of the installation. Two installations that share a merchant account
	// must differ in it; one that takes over from another must keep it.
	ID string
	// Key for fingerprints, and what callback paths are signed with where there is
	// no key of their own. It never leaves the cluster.
	Key []byte
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

// ChargeName is the name of the one Charge that a sale of a namespace can have.
// Creating it is the claim: the API server lets one creator win.
func (i Installation) ChargeName(namespace, saleReference string) string {
	sum := digest("charge/v1", i.ID, namespace, saleReference)
	return chargePrefix + nameEncoding().EncodeToString(sum[:chargeBytes])
}

// ReferenceDigest is what the provider's reference is made of. It holds no uid,
// time, count or amount, so that whoever asks again asks under the same name.
func (i Installation) ReferenceDigest(provider, account, namespace, saleReference string) [32]byte {
	return digest("payment-ref/v1", i.ID, provider, account, namespace, saleReference)
}

// CorrelationTag tells the requests of this Charge from those of an earlier one under the
// same reference, whose record is lost. It is no key of anything: a request that is
// repeated keeps its reference, and the provider its first answer.
func CorrelationTag(c *v1alpha1.Charge) string {
	sum := digest("mark/v1", c.Spec.Payment.UID)
	return "c-" + hex.EncodeToString(sum[:6])
}

// RefundDigest is what the provider's reference of a refund is made of: the
// payment's own reference, and the Refund's name.
func (i Installation) RefundDigest(paymentReference, refund string) [32]byte {
	return digest("refund-ref/v1", i.ID, paymentReference, refund)
}

// Fingerprint of the money fields of a Payment, phone included. It is keyed, so
// that no phone number can be guessed from it, and names its key, so that one
// made with another key is not taken for a conflict.
func (i Installation) Fingerprint(p *v1alpha1.Payment, currency string) string {
	mac := i.keyed("fingerprint/v1", p.Spec.Provider, CanonicalAmount(p.Spec.Amount), currency, p.Spec.Phone)
	return i.KeyID() + ":" + hex.EncodeToString(mac)
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

// CallbackDigest tells callbacks apart without keeping what they say: bodies hold
// phones.
func (i Installation) CallbackDigest(body []byte) string {
	return hex.EncodeToString(i.keyed("callback-digest/v1", string(body))[:16])
}

// CanonicalAmount drops what does not change an amount: zeros at the end of
// the decimals. The CRD admits nothing else that could differ.
func CanonicalAmount(a v1alpha1.Amount) string {
	s := a.String()
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
