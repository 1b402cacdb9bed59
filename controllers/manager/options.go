package manager

import (
	"errors"
	"flag"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/leadership"
	"mobilemoney.dev/operator/controllers/redact"
	"mobilemoney.dev/operator/controllers/retention"
)

// Options are the flags.
type Options struct {
	namespace        string
	installationID   string
	publicURL        string
	allowedEndpoints string
	callbackAddress  string
	callbackTLS      callback.TLSFiles
	callbackLimits   callback.Limits
	trustedProxies   string
	metricsAddress   string
	insecureMetrics  bool
	probeAddress     string
	leaderElection   bool
	lease            leadership.Lease
	workers          int
	accountRecheck   time.Duration
	revisionCheck    time.Duration
	settings         attempt.Settings
	retention        retention.Settings
}

// DefaultOptions are what flags have when they are not given.
func DefaultOptions() Options {
	return Options{
		lease: leadership.DefaultLease(), settings: attempt.DefaultSettings(),
		retention: retention.DefaultSettings(), callbackLimits: callback.DefaultLimits(),
	}
}

// Bind adds the flags to fs.
func (o *Options) Bind(fs *flag.FlagSet) {
	fs.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"),
		"Namespace of the operator: its key, its lease and the Secrets of ClusterMerchantAccounts. Default: $POD_NAMESPACE.")
	fs.StringVar(&o.installationID, "installation-id", "",
		"Name of this installation, which the references that providers know are derived from. Installations that share a merchant account must differ in it; a cluster that is rebuilt must keep it. Until it is given, nothing is sent in production.")
	fs.StringVar(&o.publicURL, "public-url", "",
		"Public https URL of the callback receiver, such as https://pay.example.com. Orange and Wave need it.")
	fs.StringVar(&o.allowedEndpoints, "allowed-endpoints", "",
		"Hosts (host or host:port, comma-separated) that the baseURL or tokenURL of an account may name, besides those of its provider. Only these may be at private addresses. Default: none.")
	fs.StringVar(&o.callbackAddress, "callback-bind-address", ":8090", "Address of the callback receiver.")
	fs.StringVar(&o.callbackTLS.Cert, "callback-tls-cert", "", "File with the certificate of the callback receiver; read again when it changes. Default: plain http, behind an ingress that ends TLS.")
	fs.StringVar(&o.callbackTLS.Key, "callback-tls-key", "", "File with the key of that certificate.")
	fs.StringVar(&o.trustedProxies, "callback-trusted-proxies", "",
		"Networks (CIDR, comma-separated) of the proxies in front of the callback receiver, which are believed in X-Forwarded-For. Default: none.")
	l := &o.callbackLimits
	fs.IntVar(&l.Connections, "callback-max-connections", l.Connections, "Connections to the callback receiver, in all.")
	fs.IntVar(&l.SourceConnections, "callback-max-connections-per-source", l.SourceConnections, "Connections to the callback receiver from one address that is no trusted proxy.")
	fs.Float64Var(&l.SourceRate, "callback-source-rate", l.SourceRate, "Requests each second that the callback receiver takes from one address in the long run.")
	fs.IntVar(&l.SourceBurst, "callback-source-burst", l.SourceBurst, "Requests that it takes from one address at once.")
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", "0", "Address of the metrics, such as :8443; 0 is off.")
	fs.BoolVar(&o.insecureMetrics, "metrics-insecure", false, "Serve metrics by http and without authentication.")
	fs.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz; 0 is off.")
	fs.BoolVar(&o.leaderElection, "leader-elect", true, "Let one of several replicas begin work. It limits load; it is not what keeps payments safe.")
	fs.DurationVar(&o.lease.Duration, "leader-elect-lease-duration", o.lease.Duration, "How long the lease of a leader that is heard of no more is respected.")
	fs.DurationVar(&o.lease.Renew, "leader-elect-renew-deadline", o.lease.Renew, "How long a leader tries to renew its lease before it begins nothing more. Less than the lease.")
	fs.DurationVar(&o.lease.Retry, "leader-elect-retry-period", o.lease.Retry, "Pause between two tries to take or renew the lease.")
	fs.DurationVar(&o.accountRecheck, "account-recheck", 10*time.Minute, "How often an account that is ready is tried again.")
	fs.DurationVar(&o.revisionCheck, "revision-check", 30*time.Second, "How often the API server is asked whether it went back in time.")
	fs.IntVar(&o.workers, "workers", 10, "Payments that are worked on at the same time.")

	fs.DurationVar(&o.retention.Keep, "charge-retention", o.retention.Keep,
		"How long a Charge is kept after its end, if no Payment names it any more; at least 96h. 0: for ever.")
	o.bindProtocol(fs)
}

// bindProtocol adds the flags of the request protocol to fs.
func (o *Options) bindProtocol(fs *flag.FlagSet) {
	s := &o.settings
	fs.DurationVar(&s.CallTimeout, "call-timeout", s.CallTimeout, "Longest that one call to a provider may take.")
	fs.DurationVar(&s.RecordTimeout, "record-timeout", s.RecordTimeout, "Longest that one try to record an answer may take; it is tried again for as long as the process lives.")
	fs.DurationVar(&s.LateWindow, "late-window", s.LateWindow, "How long after a request without an answer it may still arrive.")
	fs.DurationVar(&s.ClockSkew, "clock-skew", s.ClockSkew, "How far the clocks of two replicas may be apart.")
	fs.DurationVar(&s.RetryMin, "retry-min", s.RetryMin, "First wait after a call that did not get through.")
	fs.DurationVar(&s.RetryMax, "retry-max", s.RetryMax, "Longest wait after calls that did not get through, and for an account to be mended.")
	fs.DurationVar(&s.CallbackGap, "callback-gap", s.CallbackGap, "Least time between two checks of one payment that callbacks ask for, however many come.")
	fs.DurationVar(&s.ExpiryMargin, "expiry-margin", s.ExpiryMargin, "Added to the end of a payer's session before it counts as over.")
	fs.DurationVar(&s.AdoptionWindow, "adoption-window", s.AdoptionWindow,
		"How long after its end a Charge is adopted by a new Payment of the same name without consent; 0: always.")
	fs.DurationVar(&s.StartDeadline, "start-deadline", s.StartDeadline,
		"How long after its creation a Payment may be asked for the first time. One that could not be ends as Expired.")
	fs.IntVar(&s.UnsentCharges, "unsent-charges-per-namespace", s.UnsentCharges,
		"How many Charges of which nothing was sent one namespace may have.")
	fs.IntVar(&s.Prompts.PerPhone, "prompts-per-phone", s.Prompts.PerPhone,
		"How often one phone may be rung in an hour by the Payments of one namespace, where the account says nothing.")
	fs.IntVar(&s.Prompts.PerNamespace, "prompts-per-namespace", s.Prompts.PerNamespace,
		"How often payers may be rung in an hour by the Payments of one namespace, where the account says nothing.")
	fs.BoolVar(&s.AdoptOnly, "adopt-only", false, "Send nothing: only ask providers, and adopt what they know. For disaster recovery.")
}

func (o *Options) validate() error {
	if o.namespace == "" {
		return errors.New("the operator's namespace is not known: set --namespace or POD_NAMESPACE")
	}
	if err := o.settings.Validate(); err != nil {
		return err
	}
	if err := o.retention.Validate(o.settings.AdoptionWindow); err != nil {
		return err
	}
	if err := o.lease.Validate(); err != nil {
		return err
	}
	if o.revisionCheck <= 0 {
		return errors.New("--revision-check must be more than 0")
	}
	if err := o.validateCallbacks(); err != nil {
		return err
	}
	if o.publicURL == "" {
		return nil
	}
	u, err := url.Parse(o.publicURL)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New("--public-url must be a URL such as https://pay.example.com")
	}
	if u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return errors.New("--public-url must begin with https://; providers send callbacks there and payers come back to it")
	}
	return nil
}

// validateCallbacks reads what is a list, too.
func (o *Options) validateCallbacks() error {
	if (o.callbackTLS.Cert == "") != (o.callbackTLS.Key == "") {
		return errors.New("--callback-tls-cert and --callback-tls-key go together")
	}
	l := &o.callbackLimits
	if l.Connections < 1 || l.SourceConnections < 1 || l.SourceRate <= 0 || l.SourceBurst < 1 {
		return errors.New("the limits of the callback receiver must be more than 0")
	}
	l.TrustedProxies = nil
	for _, s := range splitList(o.trustedProxies) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return errors.New("--callback-trusted-proxies must be a list of networks such as 10.0.0.0/8")
		}
		l.TrustedProxies = append(l.TrustedProxies, p.Masked())
	}
	return nil
}

// unreachable is why providers may not reach the host of --public-url; "" if nothing speaks against it.
func (o *Options) unreachable() string {
	u, err := url.Parse(o.publicURL)
	if err != nil || o.publicURL == "" {
		return ""
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case net.ParseIP(host) != nil:
		return "it is an address, and MTN takes host names only"
	case last == host:
		return "it is no full host name"
	case slices.Contains([]string{"local", "localhost", "internal", "svc", "lan", "arpa", "test", "invalid"}, last):
		return "the name is not one of the internet"
	default:
		return ""
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

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
