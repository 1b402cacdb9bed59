package mtn_test

import (
	"testing"

	"mobilemoney.dev/operator/providers/internal/simtest"
	"mobilemoney.dev/operator/providers/providertest"
)

func TestConformance(t *testing.T) {
	for name, factory := range simtest.MTN() {
		t.Run(name, func(t *testing.T) { providertest.Run(t, factory) })
	}
}
