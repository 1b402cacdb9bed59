package main

import (
	"fmt"
	"net/url"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// No amount here ends in a magic number: nobody acts but the browser.
var scenes = []struct {
	what string
	play func(*stage, *browser) error
}{
	{"the phone in French, with nothing on it", emptyPhone},
	{"MTN: a prompt appears by itself and is approved", mtnApproved},
	{"MTN: a prompt is refused", mtnRefused},
	{"the language is switched to English, and stays", switched},
	{"Orange: paid on the page that status.nextAction.url names", orangePaid},
	{"Orange: refused on its page, by keyboard", orangeRefused},
	{"Wave: a try fails, the next one pays; in French and in the dark", wavePaid},
	{"MTN: a prompt is ignored, then approved without JavaScript", withoutScripts},
}

// play goes through all of it, and compares with who really paid.
func play(s *stage, b *browser) error {
	for _, scene := range scenes {
		say("%s", scene.what)
		if err := scene.play(s, b); err != nil {
			return fmt.Errorf("%s: %w", scene.what, err)
		}
	}
	const approved = 4
	switch n, err := s.charges(); {
	case err != nil:
		return err
	case n != approved:
		return fmt.Errorf("the ledger has %d charges, and %d were approved", n, approved)
	}
	say("the simulator's ledger has %d charges, as many as were approved", approved)
	return nil
}

// all does one thing after another until one fails.
func all(things ...func() error) error {
	for _, thing := range things {
		if err := thing(); err != nil {
			return err
		}
	}
	return nil
}

// card selects what shows an amount: a prompt, or a payment page.
func card(price, state string) string {
	return fmt.Sprintf(`article[data-price="%s"][data-state="%s"]`, price, state)
}

func done(price, state string) string {
	return fmt.Sprintf(`.done > li[data-price="%s"][data-state="%s"]`, price, state)
}

func seen(selector string) action { return chromedp.WaitVisible(chromedp.CSS(selector)) }

func tap(selector string) action { return chromedp.Tap(chromedp.CSS(selector)) }

// appears waits for something on a page that must not be loaded again for it.
func appears(s *stage, b *browser, p payment, selector string) error {
	return all(
		func() error { return b.reads("window.sameDocument = true", "true") },
		func() error { return s.apply(p) },
		func() error { return b.do("waiting for the prompt", seen(selector)) },
		func() error { return b.reads("window.sameDocument", "true") },
	)
}

func emptyPhone(s *stage, b *browser) error {
	return all(
		func() error { return b.prefers("fr-CI,fr;q=0.9,en;q=0.5", "light") },
		func() error { return b.do("opening the phone", chromedp.Navigate(s.SimulatorURL+"/"), seen(".empty")) },
		func() error { return b.reads("document.documentElement.lang", "fr") },
		func() error { return b.reads(`document.querySelector("h1").textContent`, "En attente de vous") },
		func() error { return b.shot("phone-empty-fr") },
	)
}

func mtnApproved(s *stage, b *browser) error {
	p := payment{"mtn", "browser-mtn-yes", 12500, "Succeeded", "Paid"}
	prompt := card("12500 EUR", "open")
	return all(
		func() error { return appears(s, b, p, prompt) },
		func() error { return b.shot("mtn-prompt-fr") },
		func() error { return b.do("approving", tap(prompt+" .yes"), seen(done("12500 EUR", "paid"))) },
		func() error { return s.ends(p) },
		func() error { return b.shot("mtn-approved-fr") },
	)
}

func mtnRefused(s *stage, b *browser) error {
	p := payment{"mtn", "browser-mtn-no", 7000, "Failed", "PayerDeclined"}
	prompt := card("7000 EUR", "open")
	return all(
		func() error { return appears(s, b, p, prompt) },
		func() error { return b.do("refusing", tap(prompt+" .no"), seen(done("7000 EUR", "failed"))) },
		func() error { return s.ends(p) },
		func() error { return b.shot("mtn-refused-fr") },
	)
}

func switched(s *stage, b *browser) error {
	return all(
		func() error { return b.do("switching", tap(`nav a[hreflang="en"]`), seen(`html[lang="en"]`)) },
		func() error {
			return b.do("coming back", chromedp.Navigate(s.SimulatorURL+"/"), seen(`html[lang="en"] h1`))
		},
		func() error { return b.reads(`document.querySelector("h1").textContent`, "Waiting for you") },
		func() error { return b.shot("phone-en") },
	)
}

// atPage sees the session appear on the phone, and opens its page as the merchant's customer.
func atPage(s *stage, b *browser, p payment, price string) error {
	return all(
		func() error { return appears(s, b, p, card(price, "open")) },
		func() error { return b.shot(p.provider + "-on-the-phone") },
		func() error {
			page, err := s.page(p)
			if err != nil {
				return err
			}
			return b.do("opening the payment page", chromedp.Navigate(page), seen(".checkout"+card(price, "open")[len("article"):]))
		},
		func() error { return b.shot(p.provider + "-page") },
	)
}

func orangePaid(s *stage, b *browser) error {
	p := payment{"orange", "browser-orange-yes", 2500, "Succeeded", "Paid"}
	return all(
		func() error { return atPage(s, b, p, "2500 OUV") },
		func() error { return b.do("paying", tap(".yes"), seen(card("2500 OUV", "paid"))) },
		func() error { return b.shot("orange-paid-en") },
		func() error { return s.ends(p) },
		// Nobody named a return URL: the payer lands on the operator's own page.
		func() error { return backAtTheOperator(s, b) },
		func() error { return b.do("going home", chromedp.Navigate(s.SimulatorURL+"/"), seen("h1")) },
	)
}

func backAtTheOperator(s *stage, b *browser) error {
	if err := b.do("going back to the merchant", tap(".acts a"), seen(`p[lang="en"]`)); err != nil {
		return err
	}
	here, err := ask(b, chromedp.Location())
	if err != nil {
		return fmt.Errorf("asking where the payer is: %w", err)
	}
	if u, err := url.Parse(here); err != nil || u.Hostname() != "127.0.0.1" || "http://"+u.Host == s.SimulatorURL {
		return fmt.Errorf("the payer landed on %s", here)
	}
	return nil
}

func orangeRefused(s *stage, b *browser) error {
	p := payment{"orange", "browser-orange-no", 1800, "Failed", "ProviderRefused"}
	return all(
		func() error { return atPage(s, b, p, "1800 OUV") },
		func() error {
			return b.do("refusing", chromedp.Focus(chromedp.CSS(".no")), chromedp.KeyEvent(kb.Enter), seen(card("1800 OUV", "failed")))
		},
		func() error { return b.shot("orange-refused-en") },
		func() error { return s.ends(p) },
		func() error { return b.do("going home", tap(".home"), seen(done("1800 OUV", "failed"))) },
	)
}

func wavePaid(s *stage, b *browser) error {
	p := payment{"wave", "browser-wave-yes", 1234567, "Succeeded", "Paid"}
	return all(
		func() error { return b.prefers("en", "dark") },
		func() error { return atPage(s, b, p, "1234567 XOF") },
		func() error { return b.do("switching", tap(`nav a[hreflang="fr"]`), seen(`html[lang="fr"]`)) },
		func() error { return b.do("failing", tap(".no"), seen(card("1234567 XOF", "open")+" .state.retry")) },
		func() error { return b.shot("wave-failed-try-fr-dark") },
		func() error { return b.do("paying", tap(".yes"), seen(card("1234567 XOF", "paid"))) },
		func() error { return b.shot("wave-paid-fr-dark") },
		func() error { return s.ends(p) },
	)
}

func withoutScripts(s *stage, b *browser) error {
	p := payment{"mtn", "browser-mtn-plain", 3300, "Succeeded", "Paid"}
	prompt := card("3300 EUR", "open")
	return all(
		func() error { return b.do("going home", chromedp.Navigate(s.SimulatorURL+"/"), seen(".done")) },
		func() error { return appears(s, b, p, prompt) },
		func() error { return b.do("ignoring", tap(prompt+" .plain"), seen(prompt+" .hint")) },
		func() error { return b.shot("mtn-ignored-fr-dark") },
		func() error { return b.scripts(false) },
		func() error { return b.do("loading again", chromedp.Reload(), seen("noscript a"), seen(prompt)) },
		func() error { return b.do("approving", tap(prompt+" .yes"), seen(done("3300 EUR", "paid"))) },
		func() error { return s.ends(p) },
		func() error { return b.scripts(true) },
		func() error { return b.do("loading again", chromedp.Reload(), seen(done("3300 EUR", "paid"))) },
		func() error { return b.shot("phone-at-the-end-fr-dark") },
	)
}
