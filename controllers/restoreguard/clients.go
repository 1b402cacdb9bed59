package restoreguard

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Client is c with its acknowledged writes compared. Its reads may be cached, and prove nothing.
func (d *Detector) Client(c client.Client) client.Client { return watchedClient{c, d} }

// Reader is r, which reads past every cache, with its answers compared.
func (d *Detector) Reader(r client.Reader) client.Reader { return watchedReader{r, d} }

type watchedClient struct {
	client.Client
	detector *Detector
}

func (c watchedClient) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	return c.detector.write(o, func() error { return c.Client.Create(ctx, o, opts...) })
}

func (c watchedClient) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	return c.detector.write(o, func() error { return c.Client.Update(ctx, o, opts...) })
}

func (c watchedClient) Status() client.SubResourceWriter {
	return watchedStatus{c.Client.Status(), c.detector}
}

type watchedStatus struct {
	client.SubResourceWriter
	detector *Detector
}

func (s watchedStatus) Update(ctx context.Context, o client.Object, opts ...client.SubResourceUpdateOption) error {
	return s.detector.write(o, func() error { return s.SubResourceWriter.Update(ctx, o, opts...) })
}

func (d *Detector) write(o client.Object, do func() error) error {
	m, before := d.begin(o), o.GetResourceVersion()
	if err := do(); err != nil {
		return err
	}
	d.wrote(m, o, before)
	return nil
}

type watchedReader struct {
	client.Reader
	detector *Detector
}

func (r watchedReader) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	m := r.detector.begin(o)
	if err := r.Reader.Get(ctx, key, o, opts...); err != nil {
		return err
	}
	r.detector.read(m, o)
	return nil
}
