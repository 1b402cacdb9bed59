package simulator

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// phrase is one text of the pages in every language that they speak.
type phrase struct{ en, fr string }

var texts = map[string]phrase{
	"title":   {"The payer's phone", "Le téléphone du payeur"},
	"lead":    {"You are the payer. Nothing here moves real money.", "Vous êtes le payeur. Aucun argent réel ne circule ici."},
	"skip":    {"Skip to the payments", "Aller aux paiements"},
	"phone":   {"Phone", "Téléphone"},
	"refresh": {"Refresh this page", "Actualiser cette page"},
	"offline": {"The simulator does not answer. Trying again…", "Le simulateur ne répond pas. Nouvel essai…"},
	"home":    {"All payments", "Tous les paiements"},
	"english": {"English", "English"},
	"french":  {"Français", "Français"},

	"waiting":      {"Waiting for you", "En attente de vous"},
	"waiting0":     {"Nothing waits for you.", "Rien ne vous attend."},
	"waiting1":     {"One payment waits for you.", "Un paiement vous attend."},
	"waitingN":     {"%d payments wait for you.", "%d paiements sont en attente."},
	"empty":        {"Create a payment, and it appears here by itself.", "Créez un paiement : il apparaîtra ici tout seul."},
	"unknown":      {"Sessions whose page nobody was told of: %d. Their payers cannot open them.", "Sessions dont la page n’a été communiquée à personne : %d. Leurs payeurs ne peuvent pas les ouvrir."},
	"finished":     {"Recently finished", "Terminés récemment"},
	"callbacks":    {"Callbacks sent: %d, taken: %d", "Notifications envoyées : %d, acceptées : %d"},
	"magic":        {"Magic amounts", "Montants magiques"},
	"ledger":       {"Ledger", "Grand livre"},
	"request.mtn":  {"Payment request", "Demande de paiement"},
	"request.page": {"Payment page", "Page de paiement"},
	"asks":         {"%s asks you for", "%s vous demande"},
	"got":          {"%s asked you for", "%s vous a demandé"},
	"left":         {"Time left", "Temps restant"},
	"automatic":    {"Acts by itself", "Agit tout seul"},
	"code":         {"Acts by itself (magic number %s)", "Agit tout seul (nombre magique %s)"},
	"ignored":      {"You ignore it: it will run out.", "Vous l’ignorez : il va expirer."},

	"approve":    {"Approve", "Accepter"},
	"refuse":     {"Refuse", "Refuser"},
	"ignore":     {"Ignore", "Ignorer"},
	"open":       {"Open the payment page", "Ouvrir la page de paiement"},
	"pay":        {"Pay %s", "Payer %s"},
	"cancel":     {"Refuse to pay", "Refuser de payer"},
	"back":       {"Back to the merchant", "Retour chez le marchand"},
	"which":      {"%s: %s, %s", "%s : %s, %s"},
	"late":       {"That came too late: this payment is over.", "Trop tard : ce paiement est terminé."},
	"none":       {"There is no such payment.", "Ce paiement n’existe pas."},
	"none.about": {"Its address is wrong, or the simulator has started anew.", "L’adresse est fausse, ou le simulateur a redémarré."},
	"foreign":    {"This came from another site and was not done.", "Cette action venait d’un autre site : elle n’a pas été exécutée."},

	"state.open":       {"Waiting for you", "En attente de vous"},
	"state.retry":      {"The last try failed. You can try again.", "Le dernier essai a échoué. Vous pouvez réessayer."},
	"state.confirming": {"Confirmed, and not decided yet", "Confirmé, pas encore décidé"},
	"state.paid":       {"Paid", "Payé"},
	"state.failed":     {"Not paid", "Non payé"},
	"state.refused":    {"Refused", "Refusé"},
	"state.expired":    {"Expired", "Expiré"},
	"state.lapsed":     {"Expired", "Expiré"},
	"about.paid":       {"The money has moved.", "L’argent a été versé."},
	"about.failed":     {"No money has moved.", "Aucun argent n’a circulé."},
	"about.refused":    {"No money has moved.", "Aucun argent n’a circulé."},
	"about.expired":    {"It can no longer be paid. No money has moved.", "Il n’est plus possible de payer. Aucun argent n’a circulé."},
	"about.lapsed":     {"It can no longer be paid. No money has moved.", "Il n’est plus possible de payer. Aucun argent n’a circulé."},

	"history":          {"What happened", "Ce qui s’est passé"},
	"history.opened":   {"Asked for", "Demandé"},
	"history.paid":     {"Paid", "Payé"},
	"history.refused":  {"Refused, or failed", "Refusé ou échoué"},
	"history.expired":  {"Expired", "Expiré"},
	"history.refunded": {"Refunded", "Remboursé"},
	"history.callback": {"Callback sent, answered %d", "Notification envoyée, réponse %d"},
	"history.lost":     {"Callback sent, not answered", "Notification envoyée, sans réponse"},
}

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
	p, ok := texts[key]
	if !ok {
		return "", fmt.Errorf("no text %q", key)
	}
	text := p.en
	if t == french {
		text = p.fr
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
