package wave

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"mobilemoney.dev/operator/providers"
)

// signatureHeader is that of callbacks and of signed requests alike: both are
// t=<unix seconds>,v1=<digest in hex>.
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
