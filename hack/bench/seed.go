package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/simulator"
)

// seedWriters write at the same time.
const seedWriters = 16

// seeder writes payments as the manager would have left them, after the model of a real one.
type seeder struct {
	*stage
	installation installation.Installation
	paths        *installation.PathKeys
	// floor asks the simulator for what is open.
	floor *floor
	// models by namespace: a Payment and its Charge.
	payments map[string]*v1alpha1.Payment
	charges  map[string]*v1alpha1.Charge
}

// seeder takes the sales, which a manager has brought as far, as models: one in each shop.
func (s *stage) seeder(ctx context.Context, models []*sale) (*seeder, error) {
	inst, _, err := installation.Load(ctx, s.Env.Client(), shop.OperatorNamespace, installationID, rand.Reader)
	if err != nil {
		return nil, err
	}
	out := &seeder{
		stage: s, installation: inst, paths: inst.PathKeys(), payments: map[string]*v1alpha1.Payment{}, charges: map[string]*v1alpha1.Charge{},
		floor: &floor{wire: newWire(), tokens: map[string]string{}, floorOptions: floorOptions{
			Listen: s.public, MTN: s.Sim.MTNURL(), Credentials: map[string]simulator.Keys{},
		}},
	}
	for _, one := range s.shops {
		out.floor.Credentials[one.Namespace] = one.Keys()[simulator.MTN]
		if err := out.floor.token(ctx, one.Namespace); err != nil {
			return nil, err
		}
	}
	for _, m := range models {
		p, c := &v1alpha1.Payment{}, &v1alpha1.Charge{}
		if err := s.Env.Client().Get(ctx, m.key, p); err != nil {
			return nil, err
		}
		if err := s.Env.Client().Get(ctx, types.NamespacedName{Name: p.Status.ChargeName}, c); err != nil {
			return nil, err
		}
		out.payments[m.key.Namespace], out.charges[m.key.Namespace] = p, c
	}
	return out, nil
}

// write writes n payments like the models, spread over the shops.
func (s *seeder) write(ctx context.Context, name string, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(seedWriters)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		namespace := s.shops[i%len(s.shops)].Namespace
		group.Go(func() error {
			if err := s.one(ctx, namespace, name+"-"+strconv.Itoa(i)); err != nil {
				return fmt.Errorf("writing a payment: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *seeder) one(ctx context.Context, namespace, name string) error {
	model := s.payments[namespace]
	p := &v1alpha1.Payment{ObjectMeta: named(namespace, name), Spec: *model.Spec.DeepCopy()}
	if err := s.Env.Client().Create(ctx, p); err != nil {
		return err
	}
	c := s.charge(p, s.charges[namespace])
	if c.Record.Outcome == nil {
		if err := s.floor.post(ctx, &floorPayment{payment: p, charge: c, reference: c.Spec.ProviderReference, id: c.Spec.CallbackID}); err != nil {
			return err
		}
	}
	if err := s.Env.Client().Create(ctx, c); err != nil {
		return err
	}
	p.Status = *model.Status.DeepCopy()
	p.Status.ChargeName, p.Status.Reference, p.Status.ProviderReference = c.Name, name, c.Spec.ProviderReference
	now := metav1.Now()
	p.Status.InitiatedAt = &now
	if p.Status.CompletedAt != nil {
		p.Status.CompletedAt, p.Status.TransactionID = &now, c.Record.Outcome.TransactionID
	}
	return s.Env.Client().Status().Update(ctx, p)
}

func (s *seeder) charge(p *v1alpha1.Payment, model *v1alpha1.Charge) *v1alpha1.Charge {
	c := model.DeepCopy()
	name := s.installation.ChargeName(p.Namespace, p.Name)
	c.ObjectMeta = metav1.ObjectMeta{Name: name}
	c.Spec.Payment = v1alpha1.PaymentIdentity{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID)}
	c.Spec.MerchantReference = p.Name
	c.Spec.Fingerprint = s.installation.Fingerprint(p, c.Spec.Requested.Currency)
	c.Spec.ProviderReference = mtn.Kind().Reference(s.installation.ReferenceDigest("mtn", c.Spec.Account.Environment, p.Namespace, p.Name))
	c.Spec.CallbackID = s.paths.ID("mtn", name)
	now := metav1.NewMicroTime(time.Now())
	c.Record.Taken.At = now
	if c.Record.Outcome != nil {
		c.Record.Outcome.At = now
		c.Record.Outcome.TransactionID = "tx-" + p.Name
	}
	return c
}
