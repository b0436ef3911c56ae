"""Mutating admission: the glue between the policy and the host. The module `wit_world` is generated from wit/."""

import json

from wit_world import exports

from policy import patch


class Plugin(exports.Plugin):
    def configure(self, config):
        pass


class MutatingAdmission(exports.MutatingAdmission):
    def admit(self, request, input):
        # What plugin.yaml asks for came with the call: the labels, and the pod's namespace.
        given = json.loads(input)
        operations = patch(given["object"]["metadata"].get("labels"), given["lookups"]["namespace"])
        return json.dumps(operations) if operations else None
