package testworld

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Kind of an object that the operator reads or writes.
type Kind int

const (
	Payment Kind = iota
	Charge
	Refund
	Account
	ClusterAccount
	Secret
	Namespace
)

var kindNames = []string{"Payment", "Charge", "Refund", "MerchantAccount", "ClusterMerchantAccount", "Secret", "Namespace"}

func (k Kind) String() string { return kindNames[k] }

var kindTypes = []client.Object{
	&v1alpha1.Payment{}, &v1alpha1.Charge{}, &v1alpha1.Refund{}, &v1alpha1.MerchantAccount{}, &v1alpha1.ClusterMerchantAccount{},
	&corev1.Secret{}, &corev1.Namespace{},
}

// hasStatus: the status of these is written by a subresource of its own.
func (k Kind) hasStatus() bool {
	return k == Payment || k == Refund || k == Account || k == ClusterAccount
}

func (k Kind) resource() schema.GroupResource {
	return schema.GroupResource{Group: v1alpha1.SchemeGroupVersion.Group, Resource: k.String()}
}

func kindOf(o client.Object) Kind {
	switch o.(type) {
	case *v1alpha1.Payment:
		return Payment
	case *v1alpha1.Charge:
		return Charge
	case *v1alpha1.Refund:
		return Refund
	case *v1alpha1.MerchantAccount:
		return Account
	case *v1alpha1.ClusterMerchantAccount:
		return ClusterAccount
	case *corev1.Secret:
		return Secret
	case *corev1.Namespace:
		return Namespace
	default:
		panic(fmt.Sprintf("world: nobody stores a %T", o))
	}
}

func (k Kind) empty() client.Object {
	return reflect.New(reflect.TypeOf(kindTypes[k]).Elem()).Interface().(client.Object)
}

// copyInto makes dst a deep copy of src, which is of the same kind.
func copyInto(dst, src client.Object) {
	reflect.ValueOf(dst).Elem().Set(reflect.ValueOf(src.DeepCopyObject()).Elem())
}

func clone(o client.Object) client.Object { return o.DeepCopyObject().(client.Object) }

// takeStatus puts the status of from into to: what a write of the main resource
// cannot change, and the only thing that one of the subresource can.
func takeStatus(to, from client.Object) {
	if kindOf(to).hasStatus() {
		field(to, "Status").Set(field(clone(from), "Status"))
	}
}

func sameSpec(a, b client.Object) bool {
	for _, name := range []string{"Spec", "Record"} {
		if f := field(a, name); f.IsValid() && !equality.Semantic.DeepEqual(f.Interface(), field(b, name).Interface()) {
			return false
		}
	}
	return true
}

func field(o client.Object, name string) reflect.Value {
	return reflect.ValueOf(o).Elem().FieldByName(name)
}

// Key names an object.
type Key struct {
	Kind      Kind
	Namespace string
	Name      string
}

// KeyOf an object.
func KeyOf(o client.Object) Key { return keyOf(o) }

func keyOf(o client.Object) Key { return Key{kindOf(o), o.GetNamespace(), o.GetName()} }

func (k Key) String() string { return k.Kind.String() + " " + k.Name }

// Version is one write of the store's history. Objects in it are never changed.
type Version struct {
	Key Key
	// Old is nil where it was created, New where it was deleted.
	Old, New client.Object
	// By the operator; nil: by somebody else.
	By *Process
}

// table is a set of objects in the order in which they came. There are few.
type table []client.Object

func (t table) find(k Key) client.Object {
	for _, o := range t {
		if o.GetName() == k.Name && o.GetNamespace() == k.Namespace && kindOf(o) == k.Kind {
			return o
		}
	}
	return nil
}

// apply takes a version in.
func (t *table) apply(v Version) {
	for i, o := range *t {
		if o.GetName() == v.Key.Name && o.GetNamespace() == v.Key.Namespace && kindOf(o) == v.Key.Kind {
			if v.New == nil {
				*t = append((*t)[:i:i], (*t)[i+1:]...)
			} else {
				(*t)[i] = v.New
			}
			return
		}
	}
	if v.New != nil {
		*t = append(*t, v.New)
	}
}

// Store is the API server: every version that ever was, in one order, and the rules by which a write makes another.
type Store struct {
	now     func() time.Time
	objects table
	history []Version
	uids    int
	// writer is the process whose write is being made.
	writer *Process

	// committed is told about each new version.
	committed func(Version)
	// validate refuses what the CRDs refuse; nil: nothing is.
	validate func(kind Kind, status bool, old, written []byte) error
	// Prune takes away what a CRD does not know; nil: nothing.
	Prune func(client.Object)
	// careless is told about a write that names no version to stand on.
	careless func(Key)
}

// Live returns the object as it is now; nil: there is none.
func (s *Store) Live(k Key) client.Object { return s.objects.find(k) }

// All objects of a kind, as they are now.
func (s *Store) All(k Kind) []client.Object {
	var out []client.Object
	for _, o := range s.objects {
		if kindOf(o) == k {
			out = append(out, o)
		}
	}
	return out
}

func (s *Store) commit(v Version) {
	v.By = s.writer
	if v.New != nil {
		v.New.SetResourceVersion(strconv.Itoa(len(s.history) + 1))
	}
	s.objects.apply(v)
	s.history = append(s.history, v)
	if s.committed != nil {
		s.committed(v)
	}
}

// wire is the object as it comes out of its JSON, which drops what the wire drops: parts of seconds, empty fields.
func (s *Store) wire(o client.Object) client.Object {
	out := wire(o)
	if s.Prune != nil {
		s.Prune(out)
	}
	return out
}

func wire(o client.Object) client.Object {
	out := kindOf(o).empty()
	if err := json.Unmarshal(body(o), out); err != nil {
		panic(err)
	}
	return out
}

// Create an object. What is created has no status.
func (s *Store) Create(o client.Object) error {
	k := keyOf(o)
	if s.Live(k) != nil {
		return apierrors.NewAlreadyExists(k.Kind.resource(), k.Name)
	}
	if o.GetResourceVersion() != "" {
		return apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	created := s.wire(o)
	takeStatus(created, k.Kind.empty())
	s.uids++
	created.SetUID(types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", s.uids)))
	created.SetGeneration(1)
	created.SetCreationTimestamp(metav1.NewTime(s.now().Truncate(time.Second)))
	if err := s.check(false, nil, created); err != nil {
		return err
	}
	s.commit(Version{Key: k, New: created})
	copyInto(o, created)
	return nil
}

// Update an object, or only its status, under resourceVersion and uid.
func (s *Store) Update(o client.Object, status bool) error {
	k := keyOf(o)
	old := s.Live(k)
	if old == nil {
		return apierrors.NewNotFound(k.Kind.resource(), k.Name)
	}
	if o.GetResourceVersion() == "" && s.careless != nil {
		s.careless(k)
	}
	switch {
	case o.GetUID() != "" && o.GetUID() != old.GetUID():
		return apierrors.NewConflict(k.Kind.resource(), k.Name, fmt.Errorf("precondition failed: UID"))
	case o.GetResourceVersion() != "" && o.GetResourceVersion() != old.GetResourceVersion():
		return apierrors.NewConflict(k.Kind.resource(), k.Name, fmt.Errorf("the object has been modified"))
	}
	next := s.wire(o)
	if status {
		whole := clone(old)
		takeStatus(whole, next)
		next = whole
	} else if k.Kind.hasStatus() {
		takeStatus(next, old)
	}
	return s.replace(status, old, next, o)
}

// replace old by next, unless they are the same, and tell the writer.
func (s *Store) replace(status bool, old, next, told client.Object) error {
	next.SetUID(old.GetUID())
	next.SetCreationTimestamp(old.GetCreationTimestamp())
	next.SetGeneration(old.GetGeneration())
	next.SetDeletionTimestamp(old.GetDeletionTimestamp())
	next.SetResourceVersion(old.GetResourceVersion())
	if !sameSpec(old, next) {
		next.SetGeneration(old.GetGeneration() + 1)
	}
	if !equality.Semantic.DeepEqual(old, next) {
		if err := s.check(status, old, next); err != nil {
			return err
		}
		s.commit(Version{Key: keyOf(next), Old: old, New: next})
	}
	if told != nil {
		copyInto(told, next)
	}
	return nil
}

func (s *Store) check(status bool, old, next client.Object) error {
	k := keyOf(next)
	if s.validate == nil || k.Kind > Refund {
		return nil
	}
	var before []byte
	if old != nil {
		before = body(old)
	}
	return s.validate(k.Kind, status, before, body(next))
}

func body(o any) []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return b
}

// Edit changes an object as somebody else does, on its newest version.
func (s *Store) Edit(k Key, status bool, change func(client.Object)) bool {
	old := s.Live(k)
	if old == nil {
		return false
	}
	next := clone(old)
	change(next)
	next = s.wire(next)
	return s.replace(status, old, next, nil) == nil
}

// Remove an object that is still the one of that uid and version.
func (s *Store) Remove(k Key, uid types.UID, version string) error {
	old := s.Live(k)
	switch {
	case old == nil:
		return apierrors.NewNotFound(k.Kind.resource(), k.Name)
	case old.GetUID() != uid || old.GetResourceVersion() != version:
		return apierrors.NewConflict(k.Kind.resource(), k.Name, fmt.Errorf("precondition failed"))
	}
	s.commit(Version{Key: k, Old: old})
	return nil
}

// Lose the status of an object, as a careless restore does; false: there is none.
func (s *Store) Lose(k Key) bool {
	old := s.Live(k)
	if old == nil {
		return false
	}
	next := clone(old)
	takeStatus(next, k.Kind.empty())
	s.commit(Version{Key: k, Old: old, New: next})
	return true
}

// Delete an object; false: there was none.
func (s *Store) Delete(k Key) bool {
	old := s.Live(k)
	if old == nil {
		return false
	}
	s.commit(Version{Key: k, Old: old})
	return true
}
