package attempt

import (
	"strings"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

func TestMemory(t *testing.T) {
	var m Memory[int]
	if m.Recall("a") != 0 {
		t.Error("an empty memory remembers")
	}
	m.Keep("a", 1)
	m.Keep("b", 2)
	m.Forget("b")
	if m.Recall("a") != 1 || m.Recall("b") != 0 {
		t.Error(m.Recall("a"), m.Recall("b"))
	}
}

func TestClipAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		got := Clip(s)
		if len(got) > 255 || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\x1b\u202e") || Clip(got) != got {
			t.Fatalf("%q from %q", got, s)
		}
	})
}

// Two processes that remember different failures do not overwrite each other's in turns.
func TestTold_WhatTheObjectTellsStays(t *testing.T) {
	shows := func(reason v1alpha1.Reason) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionSucceeded, Reason: reason, Message: "shown"}}
	}
	mine := Observation{Unsent: 1, Notice: &v1alpha1.Notice{Reason: v1alpha1.ReasonProviderThrottled}}
	for name, c := range map[string]struct {
		o      Observation
		failed bool
		shown  []metav1.Condition
		want   string
	}{
		"mine, of this run":        {mine, true, shows(v1alpha1.ReasonProviderUnreachable), "mine"},
		"mine, of before":          {mine, false, shows(v1alpha1.ReasonProviderUnreachable), "shown"},
		"mine, and none is shown":  {mine, false, shows(v1alpha1.ReasonAwaitingAnswer), "mine"},
		"none of mine":             {Observation{}, true, shows(v1alpha1.ReasonRecordRefused), "shown"},
		"a question that failed":   {Observation{Notice: mine.Notice}, false, shows(v1alpha1.ReasonAwaitingPayer), ""},
		"nothing, nothing is told": {Observation{}, false, nil, ""},
	} {
		got := ""
		if p := c.o.Told(c.failed, c.shown, func(v1alpha1.Notice) string { return "mine" }); p != nil {
			got = p.Message
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
