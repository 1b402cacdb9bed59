package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

const statusMisfit = 599

// proxy holds requests and answers against an OpenAPI document, with the validator of other people (kin-openapi).
type proxy struct {
	router   routers.Router
	upstream string

	mu               sync.Mutex // guards what follows
	fits, violations []string
}

func newProxy(ctx context.Context, document, upstream string) (*proxy, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(document)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(ctx); err != nil {
		return nil, err
	}
	router, err := gorillamux.NewRouter(doc)
	return &proxy{router: router, upstream: upstream}, err
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method + " " + r.URL.Path
	a, err := p.pass(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		// The first line says what; the rest may hold the whole request.
		what, _, _ := strings.Cut(err.Error(), "\n")
		p.violations = append(p.violations, call+": "+what)
		w.WriteHeader(statusMisfit)
		return
	}
	p.fits = append(p.fits, fmt.Sprint(call, " ", a.status))
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
func (p *proxy) pass(r *http.Request) (answer, error) {
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

func (p *proxy) ask(r *http.Request, body []byte) (answer, error) {
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
