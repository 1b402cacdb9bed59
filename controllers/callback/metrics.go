package callback

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the receiver. Labels come from closed lists: no names, no ids.
type Metrics struct {
	callbacks *prometheus.CounterVec
	keys      *prometheus.CounterVec
}

// NewMetrics returns metrics that are registered with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "mobilemoney", Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	return &Metrics{
		callbacks: counter("callbacks_total",
			"Requests to the callback receiver, by provider (or other) and what became of them.", "provider", "result"),
		keys: counter("callback_path_keys_total",
			"Callback paths of charges that were verified, by the key that signed them: current or previous.", "key"),
	}
}

func (m *Metrics) received(provider string, r result) {
	if m != nil {
		m.callbacks.WithLabelValues(provider, string(r)).Inc()
	}
}

// verifiedBy the key at a position; -1: by none.
func (m *Metrics) verifiedBy(key int) {
	switch {
	case m == nil || key < 0:
	case key == 0:
		m.keys.WithLabelValues("current").Inc()
	default:
		m.keys.WithLabelValues("previous").Inc()
	}
}
