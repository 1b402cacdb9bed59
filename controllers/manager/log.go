package manager

import (
	"io"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"mobilemoney.dev/operator/controllers/redact"
)

// SetLogger makes one log of what this process says and of what its libraries say.
func SetLogger(o zap.Options) {
	l := newLogger(o, os.Stderr)
	ctrl.SetLogger(l)
	klog.SetLogger(l)
}

func newLogger(o zap.Options, to io.Writer) logr.Logger {
	if o.Level != nil {
		o.Level = redact.Level(o.Level)
	}
	o.DestWriter = redact.Writer(to)
	return zap.New(zap.UseFlagOptions(&o))
}
