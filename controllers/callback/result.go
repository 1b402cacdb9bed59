package callback

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"mobilemoney.dev/operator/providers"
)

// result of a callback: a word for the metric, and one HTTP status and nothing more
// for the sender, who learns nothing from the answer.
type result string

const (
	resultNoted      result = "noted"
	resultRepeated   result = "repeated"
	resultIgnored    result = "ignored"
	resultMalformed  result = "malformed"
	resultUnverified result = "unverified"
	resultUnknown    result = "unknown"
	resultMethod     result = "method"
	resultTooLarge   result = "too-large"
	resultLimited    result = "limited"
	resultLater      result = "later"
	resultBug        result = "bug"
)

func (r result) status() int {
	switch r {
	case resultNoted, resultRepeated, resultIgnored:
		return http.StatusOK
	case resultMalformed:
		return http.StatusBadRequest
	case resultUnverified:
		return http.StatusUnauthorized
	case resultUnknown:
		return http.StatusNotFound
	case resultMethod:
		return http.StatusMethodNotAllowed
	case resultTooLarge:
		return http.StatusRequestEntityTooLarge
	case resultLimited:
		return http.StatusTooManyRequests
	default:
		return http.StatusServiceUnavailable
	}
}

func (r result) answer(w http.ResponseWriter) {
	status := r.status()
	if status != http.StatusOK {
		// Nothing is read any more, not even the rest of the body.
		w.Header().Set("Connection", "close")
	}
	if r == resultLimited {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
}

// refused is the result of what a parser did not take.
func refused(err error) result {
	switch {
	case errors.Is(err, providers.ErrBadCallback):
		return resultUnverified
	case errors.Is(err, providers.ErrMalformedCallback):
		return resultMalformed
	default:
		return resultLater
	}
}

func unreadable(err error) result {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return resultTooLarge
	}
	return resultMalformed
}

// Metrics of the receiver. Labels come from closed lists: no names, no ids.
type Metrics struct {
	callbacks *prometheus.CounterVec
	keys      *prometheus.CounterVec
}

// NewMetrics returns metrics that are registered with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return promauto.With(reg).NewCounterVec(prometheus.CounterOpts{Namespace: "mobilemoney", Name: name, Help: help}, labels)
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
