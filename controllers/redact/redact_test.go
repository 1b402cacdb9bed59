package redact_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"mobilemoney.dev/operator/controllers/redact"
)

const secret = "canary-of-the-panic"

type talkative struct{ text string }

func (t talkative) Error() string { return t.text }

// panics that say too much, and one of Go's own.
func panics() map[string]func() {
	var none map[string]string
	return map[string]func(){
		"text":    func() { panic(secret) },
		"error":   func() { panic(errors.New(secret)) },
		"wrapped": func() { panic(fmt.Errorf("x: %w", talkative{secret})) },
		"struct":  func() { panic(struct{ phone, token string }{secret, secret}) },
		"bytes":   func() { panic([]byte(secret)) },
		"own":     func() { none[secret] = secret },
	}
}

func newController(t *testing.T, r reconcile.Reconciler) controller.Controller {
	t.Helper()
	mgr, err := ctrl.NewManager(&rest.Config{}, manager.Options{})
	if err != nil {
		t.Fatal(err)
	}
	skip := true
	c, err := controller.NewUnmanaged("x", controller.Options{
		Reconciler: r, SkipNameValidation: &skip, Logger: mgr.GetLogger(), CacheSyncTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What the controller of controller-runtime makes of it: error, log and all.
func TestI1_PanicOfALoopIsMasked(t *testing.T) {
	for name, do := range panics() {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			ctx := ctrl.LoggerInto(context.Background(), zap.New(zap.WriteTo(&log), zap.UseDevMode(true)))
			loop := redact.Panics(reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
				do()
				return reconcile.Result{}, nil
			}))
			_, err := newController(t, loop).Reconcile(ctx, reconcile.Request{})
			if err == nil || !strings.Contains(err.Error(), "panic") {
				t.Errorf("the error is %v", err)
			}
			if text := fmt.Sprintf("%v %+v %#v %s", err, err, err, log.String()); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprint([]byte(secret))[1:30]) {
				t.Errorf("it leaks: %s", text)
			}
			if !strings.Contains(log.String(), "redact_test.go") {
				t.Errorf("the log does not say where: %s", log.String())
			}
		})
	}
}

func TestI1_PanicOfARunnableIsMasked(t *testing.T) {
	for name, do := range panics() {
		run := func() (err error) {
			defer redact.Recovered(&err)
			do()
			return nil
		}
		err := run()
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "redact_test.go") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := func() (err error) { defer redact.Recovered(&err); return errors.ErrUnsupported }(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// Without a panic, nothing changes.
func TestPanics_PassesResultsOn(t *testing.T) {
	want := reconcile.Result{RequeueAfter: time.Minute}
	loop := redact.Panics(reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
		return want, errors.ErrUnsupported
	}))
	if got, err := loop.Reconcile(context.Background(), reconcile.Request{}); got != want || !errors.Is(err, errors.ErrUnsupported) {
		t.Error(got, err)
	}
}

func TestI1_LevelIsCapped(t *testing.T) {
	var log bytes.Buffer
	l := zap.New(zap.WriteTo(&log), zap.Level(redact.Level(zapcore.Level(-10))))
	for v := range 12 {
		if l.V(v).Enabled() != (v <= redact.Loudest) {
			t.Errorf("V(%d): %v", v, l.V(v).Enabled())
		}
	}
	calm := zap.New(zap.WriteTo(&log), zap.Level(redact.Level(zapcore.InfoLevel)))
	if calm.V(1).Enabled() || !calm.Enabled() {
		t.Error("a calmer log stays calm")
	}
}

func TestH8_WriterEscapesControlCharacters(t *testing.T) {
	for text, want := range map[string]string{
		"plain\tand é\n":       "plain\tand é\n",
		"\x1b[31m\x00\r\x7f":   `\u001b[31m\u0000\u000d\u007f`,
		"a\u202eb\u009b\u200b": `a\u202eb\u009b\u200b`,
		"\xff\U000e0041":       `\ufffd\ufffd`,
	} {
		var out bytes.Buffer
		n, err := redact.Writer(&out).Write([]byte(text))
		if n != len(text) || err != nil || out.String() != want {
			t.Errorf("%q became %q, %d, %v", text, out.String(), n, err)
		}
	}
}
