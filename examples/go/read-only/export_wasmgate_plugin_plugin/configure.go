// Package export_wasmgate_plugin_plugin is what every plugin exports.
package export_wasmgate_plugin_plugin

import (
	"encoding/json"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// Config is the manifest's `config`.
var Config struct{ Group string }

// Configure is given it.
func Configure(config string) Result[Unit, string] {
	if err := json.Unmarshal([]byte(config), &Config); err != nil {
		return Err[Unit](err.Error())
	}
	if Config.Group == "" {
		return Err[Unit]("config.group: whose members may only read?")
	}
	return Ok[Unit, string](Unit{})
}
