package account

import (
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Woken are the accounts that wait to be looked at.
func (f *Findings) Woken(kind string) (names []types.NamespacedName) {
	for len(f.changed[kind]) > 0 {
		names = append(names, client.ObjectKeyFromObject((<-f.changed[kind]).Object))
	}
	return names
}
