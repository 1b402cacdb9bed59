package testenv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// ApplyManifests applies the objects of YAML files as admin, by server-side apply.
// A path is a file, a folder (its *.yaml) or a pattern (config/rbac/*.yaml),
// relative to the module's root or absolute. A file may hold several documents.
// Namespaces and ServiceAccounts come first, Kustomizations are left out.
func (e *Env) ApplyManifests(ctx context.Context, paths ...string) error {
	objects, err := e.ReadManifests(paths...)
	if err != nil {
		return err
	}
	return e.Apply(ctx, objects...)
}

// Apply applies objects as admin, in the order given.
func (e *Env) Apply(ctx context.Context, objects ...*unstructured.Unstructured) error {
	for _, o := range objects {
		err := e.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("testenv"), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("applying %s %s: %w", o.GetKind(), client.ObjectKeyFromObject(o), err)
		}
	}
	return nil
}

// ReadManifests reads what ApplyManifests applies, for callers that change something first, such as the namespace.
func (e *Env) ReadManifests(paths ...string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, path := range paths {
		files, err := e.manifestFiles(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			more, err := decodeManifests(content)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			objects = append(objects, more...)
		}
	}
	first := map[string]int{"Namespace": -3, "CustomResourceDefinition": -2, "ServiceAccount": -1}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int {
		return first[a.GetKind()] - first[b.GetKind()]
	})
	return objects, nil
}

func (e *Env) manifestFiles(path string) ([]string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(e.Root, path)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "*.yaml")
	}
	files, err := filepath.Glob(path)
	if err == nil && len(files) == 0 {
		err = errors.New("no such manifest")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return files, nil
}

func decodeManifests(content []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &u.Object); err != nil {
			return nil, err
		}
		switch {
		case len(u.Object) == 0 || u.GetKind() == "Kustomization":
		case u.IsList():
			err = u.EachListItem(func(item runtime.Object) error {
				objects = append(objects, item.(*unstructured.Unstructured))
				return nil
			})
			if err != nil {
				return nil, err
			}
		case u.GetKind() == "" || u.GetAPIVersion() == "":
			return nil, errors.New("a document has no kind or apiVersion")
		default:
			objects = append(objects, u)
		}
	}
}
