// A module of its own: what it needs is not needed by the operator.
module mobilemoney.dev/operator/hack/peers/oauth2

go 1.26.0

require golang.org/x/oauth2 v0.37.0
