// Command manager runs the mobile-money-operator: the loops that turn Payments into
// charges and Refunds into refunds, and the receiver of the providers' callbacks.
package main

import (
	"flag"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"mobilemoney.dev/operator/controllers/manager"
)

func main() {
	opts := manager.DefaultOptions()
	opts.Bind(flag.CommandLine)
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	manager.SetLogger(logging)

	if err := manager.Run(ctrl.SetupSignalHandler(), opts); err != nil {
		ctrl.Log.Error(err, "The manager stopped")
		os.Exit(1)
	}
}
