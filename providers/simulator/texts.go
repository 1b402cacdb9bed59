package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/language"
)

// phrase is one text of the pages in every language that they speak.
type phrase struct{ EN, FR string }

//nolint:gochecknoglobals // Read once, and never changed.
var texts = sync.OnceValue(func() (all map[string]phrase) {
	content, err := web.ReadFile("web/texts.json")
	if err == nil {
		err = json.Unmarshal(content, &all)
	}
	if err != nil {
		panic(fmt.Errorf("reading the embedded texts: %w", err))
	}
	return all
})

type tongue string

const (
	english tongue = "en"
	french  tongue = "fr"
)

// tongueOf chooses by what the reader asked for here, last time, or in the browser's settings.
func tongueOf(asked, remembered, accept string) tongue {
	for _, choice := range []tongue{tongue(asked), tongue(remembered)} {
		if choice == english || choice == french {
			return choice
		}
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return english
	}
	_, index, _ := language.NewMatcher([]language.Tag{language.English, language.French}).Match(wanted...)
	return []tongue{english, french}[index]
}

// say is the text of a key. A key that does not exist is a mistake in a template.
func (t tongue) say(key string, args ...any) (string, error) {
	p, ok := texts()[key]
	if !ok {
		return "", fmt.Errorf("no text %q", key)
	}
	text := p.EN
	if t == french {
		text = p.FR
	}
	if len(args) > 0 {
		text = fmt.Sprintf(text, args...)
	}
	return text, nil
}

// Spaces at which a line must not break.
const (
	narrowSpace = "\u202f"
	hardSpace   = "\u00a0"
)

// money writes an exact decimal amount: 12,500.5 in English, 12 500,5 in
// French. What is no such amount stays as it came.
func (t tongue) money(amount string) string {
	if !decimal.MatchString(amount) {
		return amount
	}
	group, point := ",", "."
	if t == french {
		group, point = narrowSpace, ","
	}
	whole, fraction, broken := strings.Cut(amount, ".")
	var b strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(group)
		}
		b.WriteRune(digit)
	}
	if broken {
		b.WriteString(point + fraction)
	}
	return b.String()
}

func minutes(d time.Duration) string {
	s := int((d + time.Second - 1) / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
