// Package export_wasmgate_plugin_validating_admission is validating admission: an image is named with a tag, and the tag is not `latest`.
package export_wasmgate_plugin_validating_admission

import (
	"encoding/json"
	"fmt"
	"strings"

	. "go.bytecodealliance.org/pkg/wit/types"
	. "wit_component/wasmgate_plugin_admission_types"
	"wit_component/wasmgate_plugin_requests"
)

// input is what plugin.yaml asks for.
type input struct {
	Object struct {
		Spec struct{ InitContainers, Containers []container }
	}
}

type container struct{ Name, Image string }

// Validate says yes or no.
func Validate(request *wasmgate_plugin_requests.Request, text string) Result[Unit, Denial] {
	// Go's garbage collector drops it, too, but late.
	defer request.Drop()
	var given input
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		panic(err)
	}
	spec := given.Object.Spec
	for _, container := range append(spec.InitContainers, spec.Containers...) {
		if isLatest(container.Image) {
			words := fmt.Sprintf(`image "%s" of container "%s" needs a tag other than latest`, container.Image, container.Name)
			return Err[Unit](MakeDenialForbidden(words))
		}
	}
	return Ok[Unit, Denial](Unit{})
}

// isLatest: `registry:5000/name` has a port and no tag; `name@sha256:…` is exact whatever its tag is.
func isLatest(image string) bool {
	name := image[strings.LastIndex(image, "/")+1:]
	_, tag, tagged := strings.Cut(name, ":")
	return !strings.Contains(name, "@") && (!tagged || tag == "latest")
}
