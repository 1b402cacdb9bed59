// Package testenv runs a real etcd and kube-apiserver with the project's CRDs, for tests and for
// the demo. RBAC is on, and so is everything else that only a real API server does: CEL rules,
// defaulting, pruning, server-side apply, conflicts, watches.
//
// There is no controller manager: nothing collects garbage by owner reference, no
// namespace ends its deletion, no ServiceAccount appears by itself.
//
// Nothing here needs package testing, so a program can use it too.
package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"mobilemoney.dev/operator/api/v1alpha1"
)

// startTimeout of etcd and of the API server, each. Generous: a busy machine is not a failure.
const startTimeout = 90 * time.Second

// Env is a running control plane.
type Env struct {
	// Scheme knows the kinds of Kubernetes, of apiextensions and of this project.
	Scheme *runtime.Scheme
	// Root is the folder of the module.
	Root string

	plane   *envtest.Environment
	certDir string
	// restoredDir holds the data of an etcd that was restored; empty: none was.
	restoredDir string
	admin       *rest.Config
	client      client.WithWatch
}

// NewScheme returns a scheme with the kinds of Kubernetes, of apiextensions and of this project.
func NewScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(apiextensionsv1.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// Start starts a control plane with the CRDs of config/crd/bases. The binaries are those of KUBEBUILDER_ASSETS, else of
// bin/controlplane; without them it fails. Whoever starts it has to stop it: the processes outlive ours.
func Start(ctx context.Context, options ...Option) (_ *Env, err error) {
	root, err := ModuleRoot()
	if err != nil {
		return nil, err
	}
	assets, err := findAssets(root)
	if err != nil {
		return nil, err
	}
	// A folder of our own: with one of envtest's, a restart of the API server
	// would make new certificates and every client would lose its trust.
	certDir, err := os.MkdirTemp("", "testenv-")
	if err != nil {
		return nil, err
	}

	scheme := NewScheme()
	server := &envtest.APIServer{Path: filepath.Join(assets, "kube-apiserver"), CertDir: certDir}
	// envtest's default too; said here because tests of permissions rely on it.
	server.Configure().Set("authorization-mode", "RBAC")
	// Or it waits for a minute until every watch has gone by itself.
	server.Configure().Set("shutdown-watch-termination-grace-period", "1s")
	for _, change := range options {
		if err := change(server); err != nil {
			return nil, errors.Join(err, os.RemoveAll(certDir))
		}
	}
	// Never a cluster that happens to be in somebody's kubeconfig.
	useExisting := false
	e := &Env{Scheme: scheme, Root: root, certDir: certDir, plane: &envtest.Environment{
		Scheme:             scheme,
		UseExistingCluster: &useExisting,
		ControlPlane: envtest.ControlPlane{
			APIServer:   server,
			Etcd:        &envtest.Etcd{Path: filepath.Join(assets, "etcd")},
			KubectlPath: filepath.Join(assets, "kubectl"),
		},
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		CRDInstallOptions:        envtest.CRDInstallOptions{MaxTime: startTimeout},
		ControlPlaneStartTimeout: startTimeout,
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Stop())
		}
	}()

	if e.admin, err = e.plane.Start(); err != nil {
		return nil, fmt.Errorf("starting the control plane in %s: %w", assets, err)
	}
	if e.client, err = client.NewWithWatch(e.admin, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if err = ctx.Err(); err != nil {
		return nil, err
	}
	return e, nil
}

// Stop ends the control plane and removes its data.
func (e *Env) Stop() error {
	return errors.Join(e.plane.Stop(), os.RemoveAll(e.certDir), os.RemoveAll(e.restoredDir))
}

// StopAPIServer takes the API server away; etcd keeps its data. StartAPIServer
// brings it back at the same address, with the same certificates.
func (e *Env) StopAPIServer() error { return e.plane.ControlPlane.APIServer.Stop() }

// StartAPIServer starts the API server again after StopAPIServer. It tries for a while: its port is
// an ephemeral one, and on a busy machine some outgoing connection may have it for the moment.
func (e *Env) StartAPIServer() error {
	backoff := wait.Backoff{Duration: time.Second, Steps: int(startTimeout / time.Second)}
	return retry.OnError(backoff, func(error) bool { return true }, e.plane.ControlPlane.APIServer.Start)
}

// Client may do everything, and reads without a cache.
func (e *Env) Client() client.WithWatch { return e.client }

// AdminConfig is that of a user who may do everything.
func (e *Env) AdminConfig() *rest.Config { return rest.CopyConfig(e.admin) }

// ConfigFor is that of a user with these groups and a client certificate. The user
// may do what RBAC says, at first next to nothing.
func (e *Env) ConfigFor(user string, groups ...string) (*rest.Config, error) {
	u, err := e.plane.AddUser(envtest.User{Name: user, Groups: groups}, &rest.Config{QPS: e.admin.QPS, Burst: e.admin.Burst})
	if err != nil {
		return nil, fmt.Errorf("adding user %s: %w", user, err)
	}
	return u.Config(), nil
}

// ServiceAccountConfig is that of an existing ServiceAccount, with a token from the
// TokenRequest API, as a pod would have one.
func (e *Env) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	day := int64((24 * time.Hour).Seconds())
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}}
	if err := e.client.SubResource("token").Create(ctx, account, token); err != nil {
		return nil, fmt.Errorf("asking for a token of ServiceAccount %s/%s (does it exist?): %w", namespace, name, err)
	}
	cfg := rest.AnonymousClientConfig(e.admin)
	cfg.BearerToken = token.Status.Token
	return cfg, nil
}

// Kubeconfig is cfg as the content of a kubeconfig file, for kubectl or a manager that runs as a process of its own.
func Kubeconfig(cfg *rest.Config) ([]byte, error) {
	const name = "testenv"
	return clientcmd.Write(clientcmdapi.Config{
		CurrentContext: name,
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: cfg.Host, CertificateAuthorityData: cfg.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			ClientCertificateData: cfg.CertData, ClientKeyData: cfg.KeyData, Token: cfg.BearerToken,
		}},
	})
}

// Kubectl is where the control plane's kubectl is. It may be missing.
func (e *Env) Kubectl() string { return e.plane.ControlPlane.KubectlPath }

// ModuleRoot is the folder of this module's go.mod, looked for from the working folder up: go test
// runs in the folder of the package, and -trimpath takes source paths out of the binary.
func ModuleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module mobilemoney.dev/operator\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of mobilemoney.dev/operator in %s or above; run from a folder of the repository", start)
		}
	}
}

func findAssets(root string) (string, error) {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		dir = filepath.Join(root, "bin", "controlplane")
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("no %s in %s: run `make controlplane` once to build it, or set KUBEBUILDER_ASSETS to a folder that has it (%w)", name, dir, err)
		}
	}
	return dir, nil
}

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

// FreePorts are addresses on loopback. Their ports are below those that systems hand out for
// outgoing connections, one of which could else take a port before a program of ours does.
func FreePorts(ctx context.Context, n int) ([]string, error) {
	const first, last, tries = 20000, 30000, 100
	var ports []string
	for range tries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(last-first)))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			continue
		}
		defer l.Close() // when all are chosen, so that none is chosen twice
		if ports = append(ports, l.Addr().String()); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free port")
}
