"""Validating admission: an image is named with a tag, and the tag is not `latest`. The modules `wit_world` and `componentize_py_types` are
generated from wit/."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.admission_types import Denial_Forbidden


class Plugin(exports.Plugin):
    def configure(self, config):
        pass


class ValidatingAdmission(exports.ValidatingAdmission):
    def validate(self, request, input):
        # What plugin.yaml asks for came with the call.
        spec = json.loads(input)["object"]["spec"]
        for container in spec.get("initContainers", []) + spec.get("containers", []):
            if is_latest(container["image"]):
                raise Err(Denial_Forbidden(
                    f'image "{container["image"]}" of container "{container["name"]}" needs a tag other than latest'))


def is_latest(image):
    """`registry:5000/name` has a port and no tag; `name@sha256:…` is exact whatever its tag is."""
    name = image.rsplit("/", 1)[-1]
    return "@" not in name and (":" not in name or name.split(":", 1)[1] == "latest")
