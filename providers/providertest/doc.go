// Package providertest is the conformance suite of providers: everything that
// the rest of the operator relies on when it deals with one. Any implementation
// can run it, in this repository or outside:
//
//	func TestConformance(t *testing.T) {
//		providertest.Run(t, func(t providertest.T) providertest.Fixture { return newFixture(t) })
//	}
//
// The Fixture is a fake of the provider with its payers and its books; its Facts
// are tables taken from the provider's documentation. The faults are made by the
// suite itself, on the wire between the client and the fake: an answer gets
// lost, before or after the request was processed, or is replaced by another.
//
// Every rule is a subtest. Which of them apply depends on the traits and on the
// optional interfaces of the provider; a rule that does not apply is not run.
// For every rule there is a faulty provider that it must find out. The rules:
//
//   - traits: A client has the traits of its Kind, and the optional interfaces that these promise.
//   - account: There is no client of an account that lacks a credential, or some of those for refunds, or names no environment.
//   - wrong-credentials: A wrong credential is Misconfigured: from Prepare, where there is one, and before any session.
//   - check-account: CheckAccount is content with a good account; it is Misconfigured only for what the provider says.
//   - tokens: A token that has ended or was revoked is renewed, by a question at once, by a request for money for the next one; one that stays refused is Misconfigured.
//   - requests: Requests go to the account's hosts, without idempotency headers and without tokens in their URLs.
//   - context: A call whose context is over is NotSent, and nothing is on the wire.
//   - concurrency: Calls at the same time do not wait for one another, nor mix.
//   - stateless: A client keeps nothing: another one of the account goes on with what the Handle says.
//   - payment: Initiate opens one session, with what the payer needs; once it is paid, Status says so.
//   - payer-phone: The phone that is asked for money is that of the request.
//   - expires-at: ExpiresAt, where it is told, is ahead; until then a session can be paid, and afterwards it cannot.
//   - payer: A payer who refuses or stays away is told as documented, and never as a success.
//   - initiate-once: One Initiate is one request, whatever the answer: no retry, no redirect, not after a 401 either.
//   - questions: Nothing but Initiate asks for money, and nothing but Refund gives it back.
//   - lost-answers: A call without an answer is Unknown, or NotSent if it never left; it is never a verdict.
//   - recover-by-reference: After a lost answer Status finds the payment by its reference, and repeating Initiate opens nothing else.
//   - recover-by-search: After a lost answer Search finds exactly the sessions that the reference opened.
//   - recover-by-repeat: After a lost answer a repeated Initiate opens the session, or says AlreadyExists.
//   - search: Search says that there is nothing only where the provider says so.
//   - search-reference: Search takes no session of another reference for one of its own.
//   - cancel: Cancel ends an open session for good; a paid one AlreadyExists, and Status says that it is paid.
//   - status-words: Every documented status answer has its State, Failure and Code.
//   - unknown-words: A status word that is not documented is Pending and Unrecognized.
//   - diagnosis: Every answer that says no becomes an error that names the operation, the HTTP status and whose fault it is; what people have to correct is said.
//   - refusals: Every documented answer that says no has its Class, Code, Failure, Field and Fault, and is not asked for twice. Without a token nothing is sent.
//   - server-errors: A 5xx or 3xx without a documented code is Unknown, and no question is ever answered by Rejected or AlreadyExists.
//   - garbage: An answer that is a page, cut, empty, doubled or of other types is an Unknown error and no verdict.
//   - random-answers: No answer makes the client panic, and none that is made up is a verdict.
//   - throttled: 429 is Throttled, with RetryAfter from seconds or from a date, of 15 minutes at most; other errors have it, too.
//   - redaction: No error and no printed answer holds a credential, token, payer, or payment URL, in whatever form.
//   - amounts: WireMoney takes the documented currencies and decimals of the account's country, changes no value, and refuses what is no amount or no currency.
//   - amount-exact: The amount arrives at the provider exactly, and comes back exactly.
//   - echo: A status answer about other money or another reference cannot be taken for the payment's, whatever word it has.
//   - references: References have the documented form, depend on the digest only, and differ where it does.
//   - refund-references: The same holds for the references of refunds.
//   - callback-good: A good callback is accepted, and names nothing but the payment that it is about.
//   - callback-hint: A callback changes nothing: what it claims is not true until Status says so.
//   - callback-forged: A callback without the right proof is ErrBadCallback.
//   - callback-replayed: A proof that is too old or from the future is ErrBadCallback; a repetition in time has the same EventID.
//   - callback-secrets: While a secret is exchanged, a proof with the old one is as good as one with the new one; a third is ErrBadCallback.
//   - callback-malformed: A callback that cannot be read is ErrMalformedCallback or ErrBadCallback, and never a panic.
//   - refund-once: One Refund is one request, whatever the answer: no retry, no redirect, not after a 401 either.
//   - refund-whole: The whole payment is given back, and asking again gives nothing back.
//   - refund-partial: Each reference gives back once and AlreadyExists then; other references give back more. The sum is the caller's business.
//   - refund-exact: The amount to give back arrives at the provider exactly, and comes back exactly.
//   - refund-lost: After a lost answer RefundStatus finds the refund, or says that there is none, and repeating gives back once.
//   - refund-words: Every documented answer about a refund is Pending, Succeeded or Failed; other words are Pending and Unrecognized.
//   - refund-echo: An answer about a refund of other money or another reference cannot be taken for the refund's, whatever word it has.
//   - refund-credentials: Wrong or missing refund credentials are Misconfigured, from PrepareRefund too, and nothing is given back.
package providertest
