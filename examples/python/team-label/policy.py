"""The policy: a pod carries the label `team` of its namespace. Plain values in, plain values out, so that it can be tested
without a server."""

LABEL = "team"


def patch(pod_labels, namespace):
    """The JSON Patch that a pod needs, given its own labels (or None) and its namespace (or None)."""
    team = ((namespace or {}).get("metadata", {}).get("labels") or {}).get(LABEL)
    if team is None or (pod_labels or {}).get(LABEL) == team:
        return []
    if pod_labels is None:
        return [{"op": "add", "path": "/metadata/labels", "value": {LABEL: team}}]
    return [{"op": "add", "path": f"/metadata/labels/{LABEL}", "value": team}]
