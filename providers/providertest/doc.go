// Package providertest is the conformance suite of providers: everything that the rest of the operator relies on when
// it deals with one. Any implementation can run it, in this repository or outside:
//
//	func TestConformance(t *testing.T) {
//		providertest.Run(t, func(t providertest.T) providertest.Fixture { return newFixture(t) })
//	}
//
// The Fixture is a fake of the provider with its payers and its books; its Facts are tables taken from the provider's
// documentation. The faults are made by the suite itself, on the wire between the client and the fake: an answer gets
// lost, before or after the request was processed, or is replaced by another.
//
// Every rule is a subtest, which says what it is when it fails. Which of them apply depends on the traits and on the
// optional interfaces of the provider; a rule that does not apply is not run.
//
// FuzzAnswers and FuzzCallbacks judge by the same tables what comes of anything else that a
// provider, or who pretends to be one, may send.
package providertest
