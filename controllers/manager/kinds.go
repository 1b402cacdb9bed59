package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/yaml"

	"mobilemoney.dev/operator/config/crd"
)

// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,verbs=get,resourceNames=charges.mobilemoney.dev;clustermerchantaccounts.mobilemoney.dev;merchantaccounts.mobilemoney.dev;payments.mobilemoney.dev;refunds.mobilemoney.dev

const (
	// recheckKinds is how long an answer about the served CRDs counts.
	recheckKinds = 5 * time.Second
	// readKinds bounds reading them.
	readKinds = 3 * time.Second
	// maxMissing is how many things an error names.
	maxMissing = 12
)

// kinds compares the CRDs that the API server serves with those that this version was
// built with. A field that is missing there is dropped when the operator writes it, and
// a rule that is missing protects nothing. More than is needed does no harm.
type kinds struct {
	live client.Reader
	now  func() time.Time
	want []apiextensionsv1.CustomResourceDefinition

	mu sync.Mutex
	// last is what was missing when the CRDs could be read; read: they could.
	last error
	read bool
	at   time.Time
}

func newKinds(live client.Reader, now func() time.Time) (*kinds, error) {
	k := &kinds{live: live, now: now}
	files, err := fs.Glob(crd.Bases, "bases/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("finding the CRDs of this version: %w", err)
	}
	for _, file := range files {
		content, err := fs.ReadFile(crd.Bases, file)
		if err != nil {
			return nil, fmt.Errorf("reading the CRDs of this version: %w", err)
		}
		var d apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(content, &d); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		k.want = append(k.want, d)
	}
	return k, nil
}

// Ready tells what is missing. It is a healthz.Checker. While the API server does not answer, what it said last counts.
func (k *kinds) Ready(req *http.Request) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.now(); !k.read || now.Sub(k.at).Abs() >= recheckKinds {
		missing, err := k.compare(req.Context(), false)
		if err != nil && !k.read {
			return err
		}
		k.at = now
		if err == nil {
			k.tell(missing)
			k.last, k.read = missing, true
		}
	}
	return k.last
}

// tell logs what is missing where that changed.
func (k *kinds) tell(missing error) {
	switch {
	case missing == nil && k.last != nil:
		ctrl.Log.Info("The installed CRDs fit again")
	case missing != nil && (k.last == nil || k.last.Error() != missing.Error()):
		ctrl.Log.Error(missing, "This replica is not ready")
	}
}

// compare returns what is missing; err says that it cannot be told. To start, a kind
// that is being deleted will do: accounts go only once the operator lets them.
func (k *kinds) compare(ctx context.Context, toStart bool) (missing, err error) {
	ctx, cancel := context.WithTimeout(ctx, readKinds)
	defer cancel()
	var all []string
	for i := range k.want {
		want, served := &k.want[i], &apiextensionsv1.CustomResourceDefinition{}
		switch err := k.live.Get(ctx, client.ObjectKeyFromObject(want), served); {
		case apierrors.IsNotFound(err):
			all = append(all, "CRD "+want.Name)
		case err != nil:
			return nil, fmt.Errorf("reading CRD %s: %w", want.Name, err)
		case served.DeletionTimestamp != nil && !toStart:
			all = append(all, "CRD "+want.Name+" (it is being deleted)")
		default:
			all = append(all, missingIn(want, served)...)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	more := ""
	if len(all) > maxMissing {
		all, more = all[:maxMissing], fmt.Sprintf(" and %d more", len(all)-maxMissing)
	}
	return fmt.Errorf("the installed CRDs do not fit this version of the operator, apply those of its release; missing: %s%s", strings.Join(all, ", "), more), nil
}

// missingIn names what want has and served has not.
func missingIn(want, served *apiextensionsv1.CustomResourceDefinition) []string {
	established := slices.ContainsFunc(served.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
	if !established {
		return []string{"CRD " + want.Name + " (it is not established)"}
	}
	var missing []string
	for i := range want.Spec.Versions {
		w := &want.Spec.Versions[i]
		at := slices.IndexFunc(served.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
			return v.Name == w.Name && v.Served && v.Schema != nil
		})
		if at < 0 {
			missing = append(missing, "version "+w.Name+" of "+want.Name)
			continue
		}
		s := &served.Spec.Versions[at]
		if w.Subresources != nil && w.Subresources.Status != nil && (s.Subresources == nil || s.Subresources.Status == nil) {
			missing = append(missing, "the status subresource of "+want.Name)
		}
		missing = append(missing, missingFields(want.Spec.Names.Kind, w.Schema.OpenAPIV3Schema, s.Schema.OpenAPIV3Schema)...)
	}
	return missing
}

// missingFields names the fields and rules that want has below path and served has not.
func missingFields(path string, want, served *apiextensionsv1.JSONSchemaProps) []string {
	if want == nil {
		return nil
	}
	if served == nil || served.Type != want.Type || served.XIntOrString != want.XIntOrString {
		return []string{"field " + path}
	}
	var missing []string
	if n := len(want.XValidations) - len(served.XValidations); n > 0 {
		missing = append(missing, fmt.Sprintf("%d rules of %s", n, path))
	}
	for _, name := range slices.Sorted(maps.Keys(want.Properties)) {
		field := want.Properties[name]
		var has *apiextensionsv1.JSONSchemaProps
		if f, ok := served.Properties[name]; ok {
			has = &f
		}
		missing = append(missing, missingFields(path+"."+name, &field, has)...)
	}
	if want.Items != nil {
		var has *apiextensionsv1.JSONSchemaProps
		if served.Items != nil {
			has = served.Items.Schema
		}
		missing = append(missing, missingFields(path+"[]", want.Items.Schema, has)...)
	}
	return missing
}

// wait until nothing is missing; false: ctx is over. Meanwhile the probes at the address
// say what is: the process is healthy and not ready.
func (k *kinds) wait(ctx context.Context, probes string) bool {
	missing, err := k.compare(ctx, true)
	if missing == nil && err == nil {
		return true
	}
	mux := http.NewServeMux()
	mux.Handle("/healthz", healthz.CheckHandler{Checker: healthz.Ping})
	mux.Handle("/readyz", healthz.CheckHandler{Checker: k.Ready})
	mux.Handle("/readyz/crds", healthz.CheckHandler{Checker: k.Ready})
	server := &http.Server{Addr: probes, Handler: mux, ReadHeaderTimeout: readKinds}
	var serving sync.WaitGroup
	if probes != "" && probes != "0" {
		serving.Go(func() {
			if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
				ctrl.Log.Error(err, "The probes are not served")
			}
		})
	}
	defer serving.Wait()
	defer server.Close()
	var said string
	return nil == wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		missing, err := k.compare(ctx, true)
		if missing == nil && err == nil {
			return true, nil
		}
		if problem := errors.Join(missing, err); problem.Error() != said {
			said = problem.Error()
			ctrl.Log.Error(problem, "The operator begins nothing before its CRDs are there")
		}
		return false, nil
	})
}
