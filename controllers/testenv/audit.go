package testenv

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Option changes how the API server is started.
type Option func(*envtest.APIServer) error

// WithAudit has the API server write an audit log into dir: one line of JSON for
// each answer that a user gets, without the objects. Other users' requests are not
// logged. The files are dir/audit*.log; their format is audit.k8s.io/v1 Event.
func WithAudit(dir, user string) Option {
	return func(server *envtest.APIServer) error {
		policy := filepath.Join(dir, "policy.yaml")
		content := fmt.Sprintf(`apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata, users: [%q]}, {level: None}]
`, user)
		if err := os.WriteFile(policy, []byte(content), 0o600); err != nil {
			return err
		}
		server.Configure().
			Set("audit-policy-file", policy).
			Set("audit-log-path", filepath.Join(dir, "audit.log"))
		return nil
	}
}
