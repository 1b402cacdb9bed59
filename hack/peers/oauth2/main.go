// Command oauth2 takes access tokens from the simulator's Orange side with
// golang.org/x/oauth2, a client by other people, and uses them.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var config clientcredentials.Config
	var api string
	f := flag.NewFlagSet("oauth2", flag.ContinueOnError)
	f.StringVar(&config.TokenURL, "token-url", "", "where access tokens are taken")
	f.StringVar(&config.ClientID, "client-id", "", "")
	f.StringVar(&config.ClientSecret, "client-secret", "", "")
	f.StringVar(&api, "api-url", "", "a call that needs a token")
	life := f.Duration("life", 0, "how long a token lives")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	config.AuthStyle = oauth2.AuthStyleInHeader
	return errors.Join(token(ctx, config, *life), use(ctx, config, api), refused(ctx, config))
}

func token(ctx context.Context, config clientcredentials.Config, life time.Duration) error {
	t, err := config.Token(ctx)
	if err != nil {
		return err
	}
	left := time.Until(t.Expiry)
	if !t.Valid() || t.Type() != "Bearer" || left <= life-time.Minute || left > life {
		return fmt.Errorf("a %s token, valid: %v, that lives %s instead of %s", t.Type(), t.Valid(), left, life)
	}
	return nil
}

// use makes a call with a token: an empty body is found out about only after
// the token was taken.
func use(ctx context.Context, config clientcredentials.Config, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(nil))
	if err != nil {
		return err
	}
	resp, err := config.Client(ctx).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("a call with the token was answered %s", resp.Status)
	}
	return nil
}

// refused wants a wrong secret to be told as OAuth 2.0 has it.
func refused(ctx context.Context, config clientcredentials.Config) error {
	config.ClientSecret = "wrong"
	_, err := config.Token(ctx)
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.ErrorCode != "invalid_client" {
		return fmt.Errorf("a wrong secret: %v", err)
	}
	return nil
}
