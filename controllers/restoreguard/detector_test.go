package restoreguard

import (
	"context"
	"errors"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

func chargeAt(uid string, revision int) *v1alpha1.Charge {
	return &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{
		Name: uid, UID: types.UID(uid), ResourceVersion: strconv.Itoa(revision),
	}}
}

func (d *Detector) write1(uid string, before, revision int) {
	o := chargeAt(uid, revision)
	old := ""
	if before > 0 {
		old = strconv.Itoa(before)
	}
	d.wrote(d.begin(o), o, old)
}

func (d *Detector) read1(uid string, revision int) {
	o := chargeAt(uid, revision)
	d.read(d.begin(o), o)
}

func TestDetector_TellsARestoreByItsSigns(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(d *Detector)
		want    bool
	}{
		"nothing":                 {func(*Detector) {}, false},
		"writes and reads":        {func(d *Detector) { d.write1("a", 0, 9); d.write1("a", 9, 10); d.read1("a", 10); d.read1("a", 12) }, false},
		"an old object is read":   {func(d *Detector) { d.write1("a", 0, 1000); d.read1("b", 7) }, false},
		"a write without effect":  {func(d *Detector) { d.write1("a", 0, 1000); d.write1("b", 7, 7) }, false},
		"ours is older":           {func(d *Detector) { d.write1("a", 0, 1000); d.read1("a", 999) }, true},
		"another one of its name": {func(d *Detector) { d.write1("a", 0, 1000); d.read1("a2", 999) }, false},
		"longer is newer":         {func(d *Detector) { d.write1("a", 0, 999); d.read1("a", 1000) }, false},
		"created below":           {func(d *Detector) { d.read1("a", 1000); d.write1("b", 0, 999) }, true},
		"updated below":           {func(d *Detector) { d.read1("a", 1000); d.write1("b", 7, 999) }, true},
		"another kind is below": {func(d *Detector) {
			d.read1("a", 1000)
			p := &v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{UID: "p", ResourceVersion: "7"}}
			d.wrote(d.begin(p), p, "")
		}, false},
		"the list is below": {func(d *Detector) {
			d.read1("a", 1000)
			o := chargeAt("", 0)
			d.listed(d.begin(o), o, "999")
		}, true},
		"the list is where we were": {func(d *Detector) {
			d.read1("a", 1000)
			o := chargeAt("", 0)
			d.listed(d.begin(o), o, "1000")
		}, false},
		"a watched object is older": {func(d *Detector) { d.changed(chargeAt("a", 8), chargeAt("a", 7)) }, true},
		"a watched object is newer": {func(d *Detector) { d.changed(chargeAt("a", 7), chargeAt("a", 8)) }, false},
		"a resync":                  {func(d *Detector) { d.changed(chargeAt("a", 7), chargeAt("a", 7)) }, false},
		"made again":                {func(d *Detector) { d.changed(chargeAt("a", 8), chargeAt("b", 7)) }, false},
		"read while it was written": {func(d *Detector) {
			d.write1("a", 0, 7)
			o := chargeAt("a", 7)
			m := d.begin(o)
			d.write1("a", 7, 8)
			d.read(m, o)
		}, false},
		"written while another was": {func(d *Detector) {
			o := chargeAt("a", 7)
			m := d.begin(o)
			d.write1("b", 0, 8)
			d.wrote(m, o, "")
		}, false},
		"no number": {func(d *Detector) { d.write1("a", 0, 1000); d.read1("a", -1) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			d := &Detector{OnRestore: func(string, client.Object) { calls++ }}
			c.happens(d)
			if c.want {
				c.happens(d)
			}
			if d.Detected() != c.want || (calls == 1) != c.want {
				t.Errorf("detected: %t, in %d calls", d.Detected(), calls)
			}
		})
	}
}

func TestDetector_RemembersABoundedNumberOfWrites(t *testing.T) {
	d := &Detector{}
	for i := 1; i <= 2*remembered; i++ {
		d.write1("uid-"+strconv.Itoa(i), 0, i)
	}
	if n := d.written.Len(); n != remembered {
		t.Errorf("%d writes are remembered", n)
	}
	d.read1("uid-2", 1)
	if d.Detected() {
		t.Error("what is forgotten is no sign")
	}
	d.read1("uid-"+strconv.Itoa(remembered+1), 1)
	if !d.Detected() {
		t.Error("a write of late is forgotten")
	}
}

// server is an API server with several clients, whose requests take effect at some
// time between their begin and their end.
type server struct {
	revision int
	objects  map[string]int
}

func (s *server) write(uid string) (before, after int) {
	before = s.objects[uid]
	s.revision++
	s.objects[uid] = s.revision
	return before, s.revision
}

func TestDetector_DetectsEveryRestoreAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, s := &Detector{}, &server{objects: map[string]int{}}
		uids := rapid.SampledFrom([]string{"a", "b", "c"})
		var ends []func()
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for range steps {
			uid := uids.Draw(t, "uid")
			switch m := d.begin(chargeAt(uid, 0)); rapid.IntRange(0, 4).Draw(t, "what") {
			case 0: // our own write
				before, after := s.write(uid)
				old := ""
				if before > 0 {
					old = strconv.Itoa(before)
				}
				ends = append(ends, func() { d.wrote(m, chargeAt(uid, after), old) })
			case 1: // another one's
				s.write(uid)
			case 2:
				if rv := s.objects[uid]; rv > 0 {
					ends = append(ends, func() { d.read(m, chargeAt(uid, rv)) })
				}
			case 3:
				if rv := s.revision; rv > 0 {
					ends = append(ends, func() { d.listed(m, chargeAt("", 0), strconv.Itoa(rv)) })
				}
			default: // some answer arrives
				if len(ends) > 0 {
					i := rapid.IntRange(0, len(ends)-1).Draw(t, "which")
					ends[i]()
					ends = append(ends[:i], ends[i+1:]...)
				}
			}
			if d.Detected() {
				t.Fatal("suspected without a reason")
			}
		}
		for _, end := range ends {
			end()
		}
		if d.Detected() {
			t.Fatal("suspected without a reason")
		}

		_, known := s.write("mine")
		d.wrote(d.begin(chargeAt("mine", 0)), chargeAt("mine", known), "")
		old := rapid.IntRange(1, known).Draw(t, "restored to")
		switch {
		case old == known:
			d.read1("mine", known)
		case rapid.Bool().Draw(t, "by a write"):
			d.write1("new", 0, old)
		default:
			d.read1("mine", old)
		}
		if d.Detected() != (old < known) {
			t.Fatalf("went from %d to %d, noticed: %t", known, old, d.Detected())
		}
	})
}

// api answers every request with a revision.
type api struct {
	revision string
	err      error
}

func (a *api) client() client.Client {
	answer := func(o client.Object) error {
		if a.err == nil {
			o.SetResourceVersion(a.revision)
			o.SetUID("a")
		}
		return a.err
	}
	return interceptor.NewClient(nil, interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			return answer(o)
		},
		Update: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.UpdateOption) error {
			return answer(o)
		},
		Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
			return answer(o)
		},
		SubResourceUpdate: func(_ context.Context, _ client.Client, _ string, o client.Object, _ ...client.SubResourceUpdateOption) error {
			return answer(o)
		},
	})
}

func TestClients_CompareWhatTheyReadAndWrite(t *testing.T) {
	ctx := t.Context()
	for name, request := range map[string]func(client.Client, client.Reader) error{
		"create": func(c client.Client, _ client.Reader) error { return c.Create(ctx, chargeAt("", 0)) },
		"update": func(c client.Client, _ client.Reader) error { return c.Update(ctx, chargeAt("a", 5)) },
		"status": func(c client.Client, _ client.Reader) error { return c.Status().Update(ctx, chargeAt("a", 5)) },
		"get": func(_ client.Client, r client.Reader) error {
			return r.Get(ctx, client.ObjectKey{Name: "a"}, chargeAt("", 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, a := &Detector{}, &api{revision: "1000"}
			c, r := d.Client(a.client()), d.Reader(a.client())
			if err := c.Create(ctx, chargeAt("", 0)); err != nil {
				t.Fatal(err)
			}
			a.revision = "999"
			a.err = errors.New("no answer")
			if err := request(c, r); !errors.Is(err, a.err) || d.Detected() {
				t.Fatal("an error says nothing", err)
			}
			a.err = nil
			if err := request(c, r); err != nil || !d.Detected() {
				t.Fatal("it was not noticed", err)
			}
		})
	}
}

// A cache that does not show our own write yet is behind, and one that went back in time is not worth waiting for.
func TestDetector_Behind(t *testing.T) {
	d := &Detector{}
	d.write1("a", 0, 1000)
	for revision, want := range map[int]bool{999: true, 1000: false, 1001: false} {
		if d.Behind(chargeAt("a", revision)) != want || d.Behind(chargeAt("b", revision)) {
			t.Errorf("at %d: behind %t, want %t", revision, d.Behind(chargeAt("a", revision)), want)
		}
	}
	d.read1("a", 999)
	if d.Behind(chargeAt("a", 999)) {
		t.Error("waits for what a restore undid")
	}
}
