package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/hack/internal/process"
)

// clients are the bare clients, as which a copy of this program runs.
func clients() map[string]func(context.Context, []byte) error {
	return map[string]func(context.Context, []byte) error{"floor": runFloor, "lister": runLister}
}

// asClient plays a bare client if this copy was started as one, and tells so.
func asClient() bool {
	if len(os.Args) != 3 || clients()[os.Args[1]] == nil {
		return false
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := clients()[os.Args[1]](ctx, []byte(os.Args[2])); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(process.ExitFailed) //nolint:gocritic // stop only gives a signal back.
	}
	return true
}

// startClient starts a copy of this program as a bare client.
func (s *stage) startClient(kind string, options any) (*process.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	text, err := json.Marshal(options)
	if err != nil {
		return nil, err
	}
	return process.Start(self, []string{kind, string(text)}, []string{"HOME=" + s.Dir}, filepath.Join(s.Dir, kind+".log"))
}

// bareClient of our kinds, without a cache and without a throttle.
func bareClient(kubeconfig string) (*rest.RESTClient, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	gv := v1alpha1.SchemeGroupVersion
	cfg.GroupVersion, cfg.APIPath, cfg.QPS = &gv, "/apis", -1
	cfg.NegotiatedSerializer = codecs()
	return rest.RESTClientFor(cfg)
}

// listerOptions are those of a client that lists and decodes.
type listerOptions struct {
	Kubeconfig string `json:"kubeconfig"`
}

// runLister lists and decodes what a manager has to know at its start, as a reflector does, and ends.
func runLister(ctx context.Context, text []byte) error {
	var o listerOptions
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	api, err := bareClient(o.Kubeconfig)
	if err != nil {
		return err
	}
	began := time.Now()
	var kept []runtime.Object
	for _, resource := range watched {
		objects, err := listAll(ctx, api, resource)
		if err != nil {
			return err
		}
		kept = append(kept, objects...)
	}
	fmt.Printf("%d objects in %v\n", len(kept), time.Since(began))
	return nil
}

// listAll lists a resource in pages and decodes it; all of it is kept until the end, as a cache keeps it.
func listAll(ctx context.Context, api rest.Interface, resource string) (objects []runtime.Object, err error) {
	for next := ""; ; {
		page, err := api.Get().Resource(resource).Param("limit", "500").Param("continue", next).Do(ctx).Get()
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", resource, err)
		}
		items, err := meta.ExtractList(page)
		if err != nil {
			return nil, err
		}
		objects = append(objects, items...)
		if next = page.(metav1.ListInterface).GetContinue(); next == "" {
			return objects, nil
		}
	}
}
