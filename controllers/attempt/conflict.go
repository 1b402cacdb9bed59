package attempt

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Conflicts tells whether one of errs is that somebody else was faster, and returns
// the others. A conflict is no error: what the faster one wrote wakes us, too.
func Conflicts(errs ...error) (slower bool, rest error) {
	var others []error
	for _, err := range errs {
		if apierrors.IsConflict(err) {
			slower = true
			continue
		}
		others = append(others, err)
	}
	return slower, errors.Join(others...)
}
