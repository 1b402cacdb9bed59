package transport

import (
	"testing"

	"mobilemoney.dev/operator/providers"
)

// Without GetBody net/http has no second copy of a body to send.
func TestBodyCannotBeReplayed(t *testing.T) {
	req, err := New(Options{}).request(t.Context(), providers.Call{Method: "POST", URL: "https://host.example", Body: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	if req.GetBody != nil || req.ContentLength != 2 {
		t.Errorf("GetBody %v, length %d", req.GetBody != nil, req.ContentLength)
	}
}
