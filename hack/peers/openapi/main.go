// Command openapi is a proxy that holds requests and answers against an OpenAPI
// document, with the validator of other people (kin-openapi). What does not fit is
// answered with 599 and written to standard output, as is every call that does fit.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("openapi", flag.ContinueOnError)
	document := f.String("document", "", "what to hold calls against")
	upstream := f.String("upstream", "", "who answers them")
	if err := f.Parse(args); err != nil {
		return err
	}
	doc, err := openapi3.NewLoader().LoadFromFile(*document)
	if err != nil {
		return err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return err
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	server := &http.Server{Handler: proxy{router, *upstream}, ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(l)
}

type proxy struct {
	router   routers.Router
	upstream string
}

func (p proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method + " " + r.URL.Path
	a, err := p.pass(r)
	if err != nil {
		// The first line says what; the rest may hold the whole request.
		what, _, _ := strings.Cut(err.Error(), "\n")
		fmt.Printf("violation %s: %s\n", call, what)
		w.WriteHeader(599)
		return
	}
	fmt.Printf("fits %s %d\n", call, a.status)
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// pass a request on if it fits, and its answer back if that does.
func (p proxy) pass(r *http.Request) (answer, error) {
	route, params, err := p.router.FindRoute(r)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return answer{}, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: authenticated, IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
		return answer{}, fmt.Errorf("request: %w", err)
	}
	a, err := p.ask(r, body)
	if err != nil {
		return answer{}, err
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: a.status, Header: a.header, Options: in.Options,
	}
	out.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
		return answer{}, fmt.Errorf("answer %d: %w", a.status, err)
	}
	return a, nil
}

// authenticated: the credentials are there, in the scheme that they belong to.
func authenticated(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	scheme, value, _ := strings.Cut(in.RequestValidationInput.Request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, in.SecurityScheme.Scheme) || value == "" {
		return errors.New("no credentials")
	}
	return nil
}

func (p proxy) ask(r *http.Request, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.upstream+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, got}, err
}
