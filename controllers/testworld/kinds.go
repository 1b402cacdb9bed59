package testworld

import (
	"slices"
	"strings"
	"time"
)

// What can befall a write to the API.
const (
	// CrashBefore: the process dies, nothing is written.
	CrashBefore = "crash-before"
	// Conflict: somebody else is faster.
	Conflict = "conflict"
	// Throttled: 429 with Retry-After.
	Throttled = "throttled"
	// Error500: not written.
	Error500 = "error-500"
	// Lost: written, and the answer lost.
	Lost = "lost"
	// LostCrash: written, and the process dies before it learns that.
	LostCrash = "lost-crash"
	// Held: written, and no process sees any change for a while.
	Held = "held"
	// Dropped: written, and the event of it never comes.
	Dropped = "dropped"
	// Deleted: somebody deletes the object just before.
	Deleted = "deleted"
)

// What can befall a read.
const (
	// ReadError: no answer.
	ReadError = "error"
	// StaleOne: the cache shows the version before.
	StaleOne = "stale-1"
	// StaleAll: the cache has never seen the object.
	StaleAll = "not-found"
	// Slow: a live read takes 20 s.
	Slow = "slow"
	// Gone: what is read live has just been deleted.
	Gone = "gone"
)

// What can befall a call to a provider.
const (
	// Unsent: no connection.
	Unsent = "unsent"
	// Dropped unprocessed (the name is shared with the lost event of a write).
	_ = Dropped
	// Processed, and the answer lost: Lost. Processed and answered after our time-out:
	TooSlow = "too-slow"
	// LateArrival: cut, and processed a minute after it was sent.
	LateArrival = "late"
	// LaterArrival: cut, and processed just within the late window.
	LaterArrival = "later"
	// CrashUnread: processed, and the process dies before it reads the answer.
	CrashUnread = "crash-unread"
	// CrashRead: the process dies with the answer in its hands.
	CrashRead = "crash-read"
	// Twice: a proxy repeats the request.
	Twice = "twice"
	// TwiceLost: and the answers are lost.
	TwiceLost = "twice-lost"
	// Error500Done: 500, though processed.
	Error500Done = "error-500-processed"
	// Unauthorized: 401.
	Unauthorized = "401"
	// Forbidden: 403.
	Forbidden = "403"
	// Malformed: 200 with a page instead of JSON, processed.
	Malformed = "malformed"
	// Truncated: half an answer, processed.
	Truncated = "truncated"
	// Dribble: half an answer, and the rest after the deadline.
	Dribble = "dribble"
	// Exists: 409 (MTN) or 1204 (Orange) though first, processed.
	Exists = "exists"
	// NotFound: 404 to a question.
	NotFound = "404"
)

// Refusals with which scenarios begin; they are no faults.
const (
	// Rejects: the provider refuses for good.
	Rejects = "rejects"
	// RejectsRings: it refuses, and rings the phone all the same.
	RejectsRings = "rejects-and-rings"
)

// Ways lists how a point can be perturbed.
func Ways(provider string, p Point) []string {
	switch p.Class {
	case Write:
		ways := []string{CrashBefore, Conflict, Throttled, Error500, Lost, LostCrash, Held, Dropped}
		if !strings.HasPrefix(p.Label, "create ") {
			ways = append(ways, Deleted)
		}
		return ways
	case Read:
		return []string{ReadError, StaleOne, StaleAll}
	case LiveRead:
		return []string{ReadError, Slow, Gone}
	default:
		return callWays(provider, strings.TrimPrefix(p.Label, "call "))
	}
}

// opening ops ask for money to move, under a reference that is taken once.
var opening = []string{"initiate", "refund"}

func callWays(provider, op string) []string {
	ways := []string{
		Unsent, Dropped, Lost, TooSlow, LateArrival, LaterArrival, CrashUnread, CrashRead, Twice, Error500Done, Error500,
		Throttled, Unauthorized, Forbidden, Malformed, Truncated, Dribble,
	}
	if provider != "wave" && slices.Contains(opening, op) {
		ways = append(ways, Exists)
	}
	if provider == "mtn" && strings.HasSuffix(op, "status") {
		ways = append(ways, NotFound)
	}
	return ways
}

// Crashes tells whether a process dies of it.
func Crashes(kind string) bool {
	switch kind {
	case CrashBefore, LostCrash, CrashUnread, CrashRead:
		return true
	default:
		return false
	}
}

// How long things last.
const (
	heldFor      = time.Minute
	relistAfter  = 5 * time.Minute
	callDeadline = 30 * time.Second
	downFor      = 2 * time.Second
	mendedAfter  = 10 * time.Minute
)
