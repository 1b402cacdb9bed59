package simulator

import (
	"bytes"
	"html/template"
	"net/http"
)

// page is the URL at which a payer pays.
func (s *Simulator) page(p *payment, base string) string {
	switch p.provider {
	case Orange:
		return base + "/orange/pay/" + p.id
	case Wave:
		return base + "/wave/c/" + p.id
	default:
		return ""
	}
}

func (s *Simulator) pageRoutes(handle func(string, wire)) {
	for provider, path := range map[Provider]string{Orange: "/orange/pay/{id}", Wave: "/wave/c/{id}"} {
		route := func(pattern string, act func(*payment) error) {
			handle(pattern, wire{provider: provider, op: OpPage,
				peek:   func(c *call) { s.peekPage(c, provider) },
				handle: func(c *call) answer { return s.visit(c, act) }})
		}
		route("GET "+path, nil)
		route("POST "+path+"/pay", s.pay)
		route("POST "+path+"/refuse", func(p *payment) error { return s.fail(p, "") })
	}
}

func (s *Simulator) peekPage(c *call, provider Provider) {
	s.about(c, s.find(provider, c.r.PathValue("id")))
}

// visit is a payer who looks at the page, or presses one of its buttons.
func (s *Simulator) visit(c *call, act func(*payment) error) answer {
	p := c.payment
	if p == nil {
		return asHTML(http.StatusNotFound, "<!doctype html><p>There is no such payment.")
	}
	p.delivered = true // who has the page has the URL
	s.opens(p)
	if act == nil {
		return s.render(p, http.StatusOK)
	}
	if act(p) != nil {
		return s.render(p, http.StatusConflict)
	}
	return s.render(p, http.StatusOK)
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Provider}}: simulated payment</title></head>
<body><h1>{{.Amount}} {{.Currency}}</h1>
<p>to {{.Merchant}}, by a simulated {{.Provider}} payer. State: <strong>{{.State}}</strong>{{with .Reason}} ({{.}}){{end}}</p>
{{if .Payable}}<form method="post" action="{{.Path}}/pay"><button>pay</button></form>
<form method="post" action="{{.Path}}/refuse"><button>refuse</button></form>{{end}}
<p><a href="{{.Back}}">back to the merchant</a></p></body></html>
`))

func (s *Simulator) render(p *payment, status int) answer {
	merchant, back := p.orange.merchant, p.orange.returnURL
	if p.state != settled {
		back = p.orange.cancelURL
	}
	if p.provider == Wave {
		merchant, back = s.opts.Wave.BusinessName, *p.wave.ErrorURL
		if p.state == settled {
			back = *p.wave.SuccessURL
		}
	}
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, map[string]any{
		"Provider": p.provider, "Amount": p.amount, "Currency": p.currency, "Merchant": merchant,
		"State": p.state, "Reason": p.reason, "Payable": s.over(p) == nil, "Path": s.page(p, ""), "Back": back,
	})
	if err != nil {
		panic("simulator: page: " + err.Error())
	}
	a := asHTML(status, page.String())
	a.kind = "text/html; charset=utf-8"
	return a
}
