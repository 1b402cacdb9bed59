// A module of its own: what it needs is not needed by the operator.
module mobilemoney.dev/operator/hack/peers

go 1.26.0

require (
	github.com/getkin/kin-openapi v0.153.0
	golang.org/x/oauth2 v0.37.0
	mobilemoney.dev/operator v0.0.0
)

require (
	github.com/go-openapi/jsonpointer v1.0.0 // indirect
	github.com/gorilla/mux v1.8.0 // indirect
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.42.0 // indirect
)

replace mobilemoney.dev/operator => ../..
