"""Mutating admission: the glue between the policy and the host. The module `wit_world` is generated from wit/."""

import json

from wit_world import exports
from wit_world.exports.mutating_admission import Answer, Mutation_Patch, Mutation_Unchanged
from wit_world.imports import cluster
from wit_world.imports.admission_types import Notes
from wit_world.imports.types import GroupResource

from policy import patch


class Plugin(exports.Plugin):
    def configure(self, config):
        pass


class MutatingAdmission(exports.MutatingAdmission):
    def admit(self, attributes, object, old):
        # Only what is asked for crosses the boundary: the labels, and not the whole pod.
        labels = object.get("/metadata/labels")
        namespace = cluster.get(GroupResource("", "namespaces"), "", attributes.namespace)
        operations = patch(labels and json.loads(labels), namespace and json.loads(namespace))
        mutation = Mutation_Patch(json.dumps(operations).encode()) if operations else Mutation_Unchanged()
        return Answer(mutation, Notes(warnings=[], audit_annotations=[]))
