package stub

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// errStub: a stub is neither written nor taken for the object that it stands for.
var errStub = errors.New("a stub is not the object that it stands for")

// Allow lets a Get return a stub.
type Allow struct{}

// ApplyToGet implements client.GetOption.
func (Allow) ApplyToGet(*client.GetOptions) {}

// NewClient returns cached with whole objects: what its cache holds as a stub is read by live. A list may have stubs.
func NewClient(cached client.Client, live client.Reader) client.Client {
	return &wholeClient{Client: cached, live: live}
}

type wholeClient struct {
	client.Client
	live client.Reader
}

// Get reads an object.
func (c *wholeClient) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if err := c.Client.Get(ctx, key, o, opts...); err != nil || !Is(o) {
		return err
	}
	for _, opt := range opts {
		if _, ok := opt.(Allow); ok {
			return nil
		}
	}
	empty(o) // what the answer does not name would stay
	if err := c.live.Get(ctx, key, o); err != nil {
		return err
	}
	return refuse(o)
}

// Create an object that is no stub.
func (c *wholeClient) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	if err := refuse(o); err != nil {
		return err
	}
	return c.Client.Create(ctx, o, opts...)
}

// Update an object that is no stub.
func (c *wholeClient) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	if err := refuse(o); err != nil {
		return err
	}
	return c.Client.Update(ctx, o, opts...)
}

// Patch an object that is no stub.
func (c *wholeClient) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if err := refuse(o); err != nil {
		return err
	}
	return c.Client.Patch(ctx, o, patch, opts...)
}

// Status writes that of objects that are no stubs.
func (c *wholeClient) Status() client.SubResourceWriter { return wholeStatus{c.Client.Status()} }

type wholeStatus struct{ client.SubResourceWriter }

// Update the status of an object that is no stub.
func (s wholeStatus) Update(ctx context.Context, o client.Object, opts ...client.SubResourceUpdateOption) error {
	if err := refuse(o); err != nil {
		return err
	}
	return s.SubResourceWriter.Update(ctx, o, opts...)
}

// refuse a stub.
func refuse(o client.Object) error {
	if Is(o) {
		return errStub
	}
	return nil
}

func empty(o client.Object) {
	switch o := o.(type) {
	case *v1alpha1.Payment:
		*o = v1alpha1.Payment{}
	case *v1alpha1.Charge:
		*o = v1alpha1.Charge{}
	}
}
