// A program with a made-up vulnerability: the check of the real one has to find it
// first (see ../vuln.sh).
module mobilemoney.dev/operator/hack/release/alarm

go 1.26.0
