// Package export_wasmgate_plugin_authorizer is an authorizer: members of one group may only read, whatever else they are allowed.
package export_wasmgate_plugin_authorizer

import (
	"fmt"
	"slices"

	. "go.bytecodealliance.org/pkg/wit/types"
	"wit_component/export_wasmgate_plugin_plugin"
	. "wit_component/wasmgate_plugin_authorizer"
	"wit_component/wasmgate_plugin_requests"
)

var reads = []string{"get", "list", "watch"}

// Authorize denies what is no read, and leaves the rest to the other authorizers.
func Authorize(request *wasmgate_plugin_requests.Request, input string) Authorization {
	// Go's garbage collector drops it, too, but late.
	defer request.Drop()
	group, verb := export_wasmgate_plugin_plugin.Config.Group, request.Authorization().Some().Verb
	if !slices.Contains(request.User().Some().Groups, group) || slices.Contains(reads, verb) {
		return answer(MakeDecisionNoOpinion(), "")
	}
	return answer(MakeDecisionDeny(), fmt.Sprintf("members of %s may only read", group))
}

func answer(decision Decision, reason string) Authorization {
	return Authorization{Decision: decision, Reason: reason, EvaluationError: None[string]()}
}
