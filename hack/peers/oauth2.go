package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"mobilemoney.dev/operator/providers/simulator"
)

const tokenLife = 90 * 24 * time.Hour

// oauth2 takes Orange's tokens with golang.org/x/oauth2, and uses them.
func (p *peers) oauth2(ctx context.Context) error {
	for inString, what := range map[bool]string{false: "a number", true: "a string"} {
		options := simulator.Options{Orange: simulator.OrangeOptions{ExpiresInString: inString, TokenLife: tokenLife}}
		err := simulating(options, func(sim *simulator.Simulator) error {
			config := clientcredentials.Config{
				TokenURL: sim.OrangeTokenURL(), AuthStyle: oauth2.AuthStyleInHeader,
				ClientID: simulator.DefaultOrangeClientID, ClientSecret: simulator.DefaultOrangeClientSecret,
			}
			return errors.Join(token(ctx, config), use(ctx, config, sim.OrangeURL("dev")+"/webpayment"), refused(ctx, config))
		})
		if err != nil {
			return err
		}
		p.ok("Orange, golang.org/x/oauth2 v0.37.0: token with expires_in as " + what)
	}
	return nil
}

func token(ctx context.Context, config clientcredentials.Config) error {
	t, err := config.Token(ctx)
	if err != nil {
		return err
	}
	left := time.Until(t.Expiry)
	if !t.Valid() || t.Type() != "Bearer" || left <= tokenLife-time.Minute || left > tokenLife {
		return fmt.Errorf("a %s token, valid: %v, that lives %s instead of %s", t.Type(), t.Valid(), left, tokenLife)
	}
	return nil
}

// use makes a call with a token: an empty body is found out about only after the token was taken.
func use(ctx context.Context, config clientcredentials.Config, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return err
	}
	return answers(config.Client(ctx), req, http.StatusBadRequest)
}

func refused(ctx context.Context, config clientcredentials.Config) error {
	config.ClientSecret = "wrong"
	_, err := config.Token(ctx)
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.ErrorCode != "invalid_client" {
		return fmt.Errorf("a wrong secret: %v", err)
	}
	return nil
}
