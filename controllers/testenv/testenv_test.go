package testenv_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"mobilemoney.dev/operator/controllers/testenv"
)

// Tests that need a control plane fail without one, and say what to do.
func TestStart_SaysWhatIsMissing(t *testing.T) {
	t.Setenv("KUBEBUILDER_ASSETS", t.TempDir())
	_, err := testenv.Start(t.Context())
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("run `make controlplane`")))
}
