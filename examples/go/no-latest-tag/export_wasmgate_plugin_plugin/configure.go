// Package export_wasmgate_plugin_plugin is what every plugin exports.
package export_wasmgate_plugin_plugin

import . "go.bytecodealliance.org/pkg/wit/types"

// Configure is given the manifest's `config`: there is none.
func Configure(config string) Result[Unit, string] {
	return Ok[Unit, string](Unit{})
}
