"""A ValidatingAdmissionPolicy for what a schema cannot see: who is asking.

``spec.credentialsSecret`` names a Secret that the controller reads, writes and publishes a login
in. The controller touches none that the object does not own; this policy refuses earlier, and says
so to the author: whoever names a Secret must have the right to read it. Without that right the
login would be of no use to them, so nothing honest is refused.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from .manifest import KINDS
from .v1alpha1 import GROUP

API_VERSION: Final = "admissionregistration.k8s.io/v1"
"""Generally available since Kubernetes 1.30 (KEP-3488)."""
NAME: Final = f"credentials-secret.{GROUP}"

_CHANGED: Final = (
    "oldObject == null || oldObject.spec.credentialsSecret != object.spec.credentialsSecret"
)
"""An object that stays with its Secret can be changed by anybody who could before: finalizers,
labels and the rest of the spec are none of this policy's business."""
_MAY_READ: Final = (
    'authorizer.group("").resource("secrets").namespace(request.namespace)'
    '.name(object.spec.credentialsSecret).check("get").allowed()'
)
_MESSAGE: Final = (
    '"spec.credentialsSecret: you may not read secret " + object.spec.credentialsSecret + '
    '" in namespace " + request.namespace + '
    '"; name one that you may get, or ask for that right"'
)


def policies() -> list[dict[str, Any]]:
    """Return the policy and its binding, which applies it to every namespace."""
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": NAME},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [GROUP],
                            "apiVersions": ["*"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": [kind.plural for kind in KINDS],
                        }
                    ]
                },
                "matchConditions": [{"name": "names-another-secret", "expression": _CHANGED}],
                "validations": [
                    {
                        "expression": _MAY_READ,
                        "messageExpression": _MESSAGE,
                        "reason": "Forbidden",
                    }
                ],
            },
        },
        {
            "apiVersion": API_VERSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": NAME},
            "spec": {"policyName": NAME, "validationActions": ["Deny"]},
        },
    ]


def admission_yaml() -> str:
    """Return policy and binding as ``kubectl apply`` takes them."""
    return yaml.safe_dump_all(policies(), explicit_start=True, sort_keys=False, width=100)
