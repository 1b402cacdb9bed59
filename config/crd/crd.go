// Package crd holds the generated CRDs, for programs that check objects against them in process.
package crd

import "embed"

// Bases are the CRDs, one file a kind.
//
//go:embed bases/*.yaml
var Bases embed.FS
