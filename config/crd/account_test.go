package crd_test

import "strings"

const accountBase = `{"spec": {"provider": "mtn", "environment": "sandbox", "secretRef": {"name": "mtn"}}}`

const (
	waveSandbox     = `spec: Invalid value: wave has no sandbox: write production, or set baseURL to a simulator`
	accountProvider = `spec: Invalid value: provider cannot change; create another account`
	accountTarget   = `spec: Invalid value: mtn.targetEnvironment is required for mtn in production: MTN's word for the country, such as mtnivorycoast`
	accountCountry  = `spec: Invalid value: country is required for orange in production: two letters, such as ci`
	memberMTN       = `spec: Invalid value: mtn is for accounts whose provider is mtn; take it out`
	memberOrange    = `spec: Invalid value: orange is for accounts whose provider is orange; take it out`
	memberWave      = `spec: Invalid value: wave is for accounts whose provider is wave; take it out`
	aggregatedShape = `aggregatedMerchantID must be the merchant's id at Wave, such as am-7lks22ap113t4`
	targetShape     = `targetEnvironment must be MTN's word for the country in small letters, such as mtnivorycoast; it is never production`
	countryShape    = `country must be two lower-case letters, such as ci`
	accountCurrency = `currency must be a three-letter ISO 4217 code in capitals, such as XOF`
	apiURLShape     = `must be an http or https URL without user, query or fragment`
	secretName      = `secretRef.name must be the name of a Secret, such as mtn-credentials`
	timeoutShape    = `timeout must be between 30s and 168h, such as 30m or 1h`
	intervalShape   = `interval must be between 1s and 1h, such as 90s or 2m`
)

var accountCases = []testCase{
	creates(``),
	creates(`spec.country="ci"; spec.currency="XAF"; spec.merchantName="Chez Aïcha"; spec.mtn.targetEnvironment="mtnivorycoast"; ` +
		`spec.baseURL="http://simulator.demo:8080/mtn"; spec.polling.interval="30s"; ` +
		`spec.returnURL="https://shop.example/thanks"; spec.cancelURL="https://shop.example/back"`),
	creates(`-spec`, `spec: Required value`),
	creates(`spec={}`, `spec.environment: Required value`, `spec.provider: Required value`, `spec.secretRef: Required value`),
	refuses(`spec.provider="MTN"`, providerShape),
	creates(`spec.provider="`+strings.Repeat("a", 64)+`"`, `spec.provider: Too long: may not be more than 63 bytes`),
	creates(`spec.provider="wave"`, waveSandbox),
	creates(`spec.provider="wave"; spec.environment="production"`),
	creates(`spec.provider="wave"; spec.baseURL="http://simulator.demo:8080/wave"`),
	creates(`spec.mtn.callbacks="Disabled"`),
	creates(`spec.mtn.callbacks="off"`, `spec.mtn.callbacks: Unsupported value: "off": supported values: "Enabled", "Disabled"`),
	creates(`spec.environment="prod"`, `spec.environment: Unsupported value: "prod": supported values: "sandbox", "production"`),
	refuses(`spec.country="CI"`, countryShape),
	refuses(`spec.country="civ"`, countryShape),
	refuses(`spec.currency="FCFA"`, accountCurrency),
	refuses(`spec.currency="xof"`, accountCurrency),
	creates(`spec.merchantName="a\nb"`, `spec.merchantName: Invalid value: "a\nb": merchantName `+oneLine),
	creates(`spec.merchantName="a\u202eb"`, `spec.merchantName: Invalid value: "a\u202eb": merchantName `+oneLine),
	creates(`spec.merchantName="`+strings.Repeat("a", 31)+`"`, `spec.merchantName: Too long: may not be more than 30 bytes`),
	creates(`spec.secretRef={}`, `spec.secretRef.name: Required value`),
	creates(`spec.secretRef.name=""`, `spec.secretRef.name: Invalid value: "": spec.secretRef.name in body should be at least 1 chars long`),
	creates(`spec.secretRef.name="a.b-2"`),
	creates(`spec.secretRef.name="../other/secret"`, `spec.secretRef.name: Invalid value: "../other/secret": `+secretName),
	creates(`spec.secretRef.name="a/b"`, `spec.secretRef.name: Invalid value: "a/b": `+secretName),
	creates(`spec.secretRef.name="A"`, `spec.secretRef.name: Invalid value: "A": `+secretName),
	refuses(`spec.returnURL="http://shop.example/"`, urlShape),
	refuses(`spec.cancelURL="javascript:alert(1)"`, urlShape),

	creates(`spec.country="Ivory Coast"; spec.currency="West African CFA franc"; spec.secretRef.name="`+strings.Repeat("a", 254)+`"; spec.mtn.targetEnvironment="`+strings.Repeat("a", 64)+`"`,
		`spec.country: Too long: may not be more than 8 bytes`, `spec.currency: Too long: may not be more than 16 bytes`,
		`spec.secretRef.name: Too long: may not be more than 253 bytes`, `spec.mtn.targetEnvironment: Too long: may not be more than 63 bytes`),
	creates(`spec.provider="orange"; spec.baseURL="https://`+strings.Repeat("a", 512)+`"; spec.orange.tokenURL="https://`+strings.Repeat("a", 512)+`"`,
		`spec.baseURL: Too long: may not be more than 512 bytes`, `spec.orange.tokenURL: Too long: may not be more than 512 bytes`),
	creates(`spec.returnURL="https://`+strings.Repeat("a", 120)+`"; spec.cancelURL="https://`+strings.Repeat("a", 120)+`"`,
		`spec.returnURL: Too long: may not be more than 120 bytes`, `spec.cancelURL: Too long: may not be more than 120 bytes`),

	// What production needs.
	creates(`spec.environment="production"; spec.mtn.targetEnvironment="mtnivorycoast"`),
	creates(`spec.environment="production"`, accountTarget),
	refuses(`spec.mtn.targetEnvironment="production"`, targetShape),
	refuses(`spec.mtn.targetEnvironment="MTN Ivory Coast"`, targetShape),
	creates(`spec.provider="orange"`),
	creates(`spec.provider="orange"; spec.environment="production"; spec.country="ci"`),
	creates(`spec.provider="orange"; spec.environment="production"; spec.baseURL="https://api.example"`),
	creates(`spec.provider="orange"; spec.environment="production"`, accountCountry),
	creates(`spec.provider="wave"; spec.environment="production"`),

	// Where credentials are sent.
	creates(`spec.baseURL="https://api.example"`),
	creates(`spec.baseURL="https://api.example:8443/orange-money-webpay/dev/v1"`),
	refuses(`spec.baseURL="ftp://api.example"`, `baseURL `+apiURLShape),
	refuses(`spec.baseURL="api.example"`, `baseURL `+apiURLShape),
	refuses(`spec.baseURL="https://api.example@evil.example"`, `baseURL `+apiURLShape),
	refuses(`spec.baseURL="https://api.example?x=1"`, `baseURL `+apiURLShape),
	refuses(`spec.baseURL="https://api.example#x"`, `baseURL `+apiURLShape),
	refuses(`spec.baseURL="https://:::/"`, `baseURL `+apiURLShape),
	creates(`spec.provider="orange"; spec.orange.tokenURL="https://api.example/token"`),
	creates(`spec.provider="orange"; spec.orange.tokenURL="token"`, `spec.orange.tokenURL: Invalid value: "token": tokenURL `+apiURLShape),
	creates(`spec.provider="orange"; spec.orange.tokenURL="https://api.example/../token?x"`, `spec.orange.tokenURL: Invalid value: "https://api.example/../token?x": tokenURL `+apiURLShape),

	// What only one provider has.
	creates(`spec.mtn={}`),
	creates(`spec.provider="orange"; spec.orange={}`),
	creates(`spec.provider="orange"; spec.mtn={}`, memberMTN),
	creates(`spec.provider="wave"; spec.environment="production"; spec.mtn.callbacks="Disabled"`, memberMTN),
	creates(`spec.orange.tokenURL="https://api.example/token"`, memberOrange),
	creates(`spec.provider="wave"; spec.environment="production"; spec.orange={}; spec.mtn={}`, memberMTN, memberOrange),
	creates(`spec.provider="wave"; spec.environment="production"; spec.wave.aggregatedMerchantID="am-7lks22ap113t4"`),
	creates(`spec.provider="wave"; spec.environment="production"; spec.wave.aggregatedMerchantID="am 7"`, `spec.wave.aggregatedMerchantID: Invalid value: "am 7": `+aggregatedShape),
	creates(`spec.wave={}`, memberWave),
	creates(`spec.provider="orange"; spec.wave.aggregatedMerchantID="am-1"`, memberWave),
	changes(``, `spec.wave={}`, memberWave),
	changes(``, `spec.orange={}`, memberOrange),
	changes(`spec.mtn.targetEnvironment="mtnivorycoast"`, `-spec.mtn`),

	// Polling. The API server's own idea of a duration is not Go's.
	creates(`spec.polling={}`),
	creates(`spec.polling.interval="1s"`),
	creates(`spec.polling.interval="1h"`),
	creates(`spec.polling.interval="2m0s"`),
	creates(`spec.polling.interval="1.5m"`),
	refuses(`spec.polling.interval="999ms"`, intervalShape),
	refuses(`spec.polling.interval="1h1s"`, intervalShape),
	refuses(`spec.polling.interval="1d"`, intervalShape),
	refuses(`spec.polling.interval="1 min"`, intervalShape),
	refuses(`spec.polling.interval="2 minutes"`, intervalShape),
	refuses(`spec.polling.interval="-2m"`, intervalShape),
	refuses(`spec.polling.interval="120"`, intervalShape),
	refuses(`spec.polling.interval="9999h9999h9999h9999h9999h9999h"`, intervalShape),
	refuses(`spec.polling.interval="999999999999h"`, intervalShape),
	refuses(`spec.polling.interval=""`, intervalShape),

	creates(`spec.polling.timeout="30s"`),
	creates(`spec.polling.timeout="168h"`),
	refuses(`spec.polling.timeout="29s"`, timeoutShape),
	refuses(`spec.polling.timeout="168h1s"`, timeoutShape),
	refuses(`spec.polling.timeout="3600"`, timeoutShape),
	refuses(`spec.polling.timeout=""`, timeoutShape),
	creates(`spec.rateLimit={}`),
	creates(`spec.rateLimit.checksPerSecond=1`),
	creates(`spec.rateLimit.checksPerSecond=100`),
	refuses(`spec.rateLimit.checksPerSecond=0`, `spec.rateLimit.checksPerSecond in body should be greater than or equal to 1`),
	refuses(`spec.rateLimit.checksPerSecond=101`, `spec.rateLimit.checksPerSecond in body should be less than or equal to 100`),

	// An account can change; what a provider's name stands for cannot.
	changes(``, `spec.secretRef.name="mtn-2"`),
	changes(``, `spec.baseURL="https://api.example"`),
	changes(``, `spec.environment="production"; spec.mtn.targetEnvironment="mtnivorycoast"`),
	changes(``, `spec.provider="wave"`, accountProvider, waveSandbox),
	changes(``, `-spec`, `spec: Required value`),
	changes(``, `status.conditions=[{"type": "Ready", "status": "True", "reason": "Usable", "message": "", "lastTransitionTime": "2026-07-01T10:00:00Z"}]`),
}

var clusterAccountCases = []testCase{
	creates(`spec.allowedNamespaces={}`),
	creates(`spec.allowedNamespaces.names=["shop", "blog"]`),
	creates(`spec.allowedNamespaces.selector={}`),
	creates(`spec.allowedNamespaces.selector.matchLabels={"payments": "yes"}`),
	creates(`spec.allowedNamespaces.names=["shop", "shop"]`, `spec.allowedNamespaces.names[1]: Duplicate value: "shop"`),
	changes(`spec.allowedNamespaces.names=["shop"]`, `-spec.allowedNamespaces`),
}
