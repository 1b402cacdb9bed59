package installation

import (
	"strings"
	"testing"
)

// Verify is what a stranger's request costs: it runs before anything is read.
func BenchmarkPathKeys_Verify(b *testing.B) {
	keys := testInstallation.PathKeys()
	id := keys.ID("mtn", testInstallation.ChargeName("shop", "order-1042"))
	rotated := testInstallation.PathKeys()
	rotated.keys = [][]byte{[]byte(strings.Repeat("k", keyBytes)), rotated.derived}
	for _, c := range []struct {
		name string
		keys *PathKeys
		id   string
	}{
		{"valid", keys, id},
		{"second_key", rotated, id},
		{"forged", keys, strings.Repeat("A", PathIDLength)},
		{"malformed", keys, "order-1042"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.keys.Verify("mtn", c.id)
			}
		})
	}
}

// What is derived for each sale, most of it several times in each reconcile.
func BenchmarkDerive(b *testing.B) {
	keys, name := testInstallation.PathKeys(), testInstallation.ChargeName("shop", "order-1042")
	for _, c := range []struct {
		name   string
		derive func() string
	}{
		{"charge_name", func() string { return testInstallation.ChargeName("shop", "order-1042") }},
		{"path_id", func() string { return keys.ID("mtn", name) }},
		{"payer", func() string { return testInstallation.Payer("+2250501020304") }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.derive()
			}
		})
	}
}
