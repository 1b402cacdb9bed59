package reasons

import (
	"strings"
	"testing"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

func TestTexts_AreSentencesThatCanBeShown(t *testing.T) {
	for kind, texts := range map[string]Texts{"Payment": OfPayments(), "Refund": OfRefunds()} {
		for reason, text := range texts {
			if !strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text || strings.ContainsAny(text, "\n%{}") || len(text) > 400 || texts.Of(reason, "") != text {
				t.Errorf("%s %s: %q", kind, reason, text)
			}
			if got := texts.OfNotice(v1alpha1.Notice{Reason: reason, Code: "CODE_1"}); got != text+" (provider code CODE_1)" {
				t.Errorf("%s %s: %q", kind, reason, got)
			}
		}
	}
	if got := OfPayments().OfNotice(v1alpha1.Notice{Reason: "Other", Message: "its own"}); got != "its own" {
		t.Error(got)
	}
	if !strings.Contains(OfPayments().Of(v1alpha1.ReasonReusedName, ""), v1alpha1.AnnotationAdopt+"=true") {
		t.Error("the annotation that gives consent is called otherwise")
	}
}
