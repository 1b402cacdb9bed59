package wave

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// Wave webhooks, signing secret: how far a timestamp may be off.
const (
	maxAge        = 5 * time.Minute
	maxAhead      = 30 * time.Second
	maxSignatures = 16
)

// Callbacks verifies and reads Wave's callbacks (Wave webhooks, security).
type Callbacks struct{}

// ParseCallback verifies the signature, or the shared secret where there is
// none, over the raw body, and only then reads it.
func (Callbacks) ParseCallback(cb providers.CallbackRequest) (providers.Callback, error) {
	if err := verify(cb); err != nil {
		return providers.Callback{}, err
	}
	var body struct {
		ID   string          `json:"id"`
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := wire.Decode(cb.Body, &body); err != nil {
		return providers.Callback{}, fmt.Errorf("wave callback: %w: %w", providers.ErrMalformedCallback, err)
	}
	out := providers.Callback{EventID: providers.SafeID(body.ID), Claim: providers.SafeCode(body.Type)}
	if !strings.HasPrefix(body.Type, "checkout.session.") { // about something else
		return out, nil
	}
	var about struct {
		ID              string `json:"id"`
		ClientReference string `json:"client_reference"`
	}
	if err := wire.Decode(body.Data, &about); err != nil {
		return providers.Callback{}, fmt.Errorf("wave callback: %w: %w", providers.ErrMalformedCallback, err)
	}
	out.SessionID, out.Reference = wire.Echo(about.ID), wire.Echo(about.ClientReference)
	return out, nil
}

func verify(cb providers.CallbackRequest) error {
	secrets := split(cb.Secrets)
	signatures := cb.Header.Values(signatureHeader)
	switch {
	case len(secrets) == 0:
		return refused("no secret is configured")
	case len(signatures) > 1:
		return refused("more than one signature header")
	case len(signatures) == 1:
		return verifySignature(signatures[0], cb, secrets)
	default:
		return verifyBearer(cb, secrets)
	}
}

// verifySignature of a callback (Wave webhooks, signing secret).
func verifySignature(header string, cb providers.CallbackRequest, secrets []providers.Secret) error {
	timestamp, signatures, err := parseSignature(header)
	if err != nil {
		return err
	}
	t, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return refused("the timestamp is no number")
	}
	now := cb.Now.Unix()
	if t < now-int64(maxAge/time.Second) || t > now+int64(maxAhead/time.Second) {
		return refused("the timestamp is too old or in the future")
	}
	valid := false
	for _, secret := range secrets {
		sum := digest(secret, timestamp, cb.Body)
		for _, signature := range signatures { // all of them: no early exit
			valid = hmac.Equal(sum, signature) || valid
		}
	}
	if !valid {
		return refused("wrong signature")
	}
	return nil
}

func parseSignature(header string) (timestamp string, signatures [][]byte, err error) {
	for part := range strings.SplitSeq(header, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch key {
		case "t":
			if timestamp != "" || value == "" {
				return "", nil, refused("not exactly one timestamp")
			}
			timestamp = value
		case "v1":
			if len(signatures) == maxSignatures {
				return "", nil, refused("too many signatures")
			}
			signature, err := hex.DecodeString(value)
			if err != nil {
				signature = nil // equals no sum
			}
			signatures = append(signatures, signature)
		}
	}
	if timestamp == "" || len(signatures) == 0 {
		return "", nil, refused("no timestamp or no signature")
	}
	return timestamp, signatures, nil
}

// verifyBearer: the other strategy (Wave webhooks, shared secret).
func verifyBearer(cb providers.CallbackRequest, secrets []providers.Secret) error {
	sent, ok := strings.CutPrefix(cb.Header.Get("Authorization"), "Bearer ")
	valid := false
	for _, secret := range secrets {
		valid = secret.Equal(sent) || valid
	}
	if !ok || !valid {
		return refused("wrong shared secret")
	}
	return nil
}

// split takes secrets that may hold several, one a line.
func split(values []providers.Secret) []providers.Secret {
	var out []providers.Secret
	for _, v := range values {
		for line := range strings.Lines(v.Reveal()) {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, providers.Secret(line))
			}
		}
	}
	return out
}

func refused(why string) error {
	return fmt.Errorf("wave callback: %w: %s", providers.ErrBadCallback, why)
}

// signatureHeader is that of callbacks and of signed requests alike: both are t=<unix seconds>,v1=<digest in hex>.
const signatureHeader = "Wave-Signature"

// digest is HMAC-SHA256(whole secret, timestamp + raw body), with nothing
// between the two (Wave webhooks, signing secret).
func digest(secret providers.Secret, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte(timestamp))
	mac.Write(body)
	return mac.Sum(nil)
}

// signature of a request (Wave API, request signing).
func signature(secret providers.Secret, now time.Time, body []byte) string {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	return "t=" + timestamp + ",v1=" + hex.EncodeToString(digest(secret, timestamp, body))
}
