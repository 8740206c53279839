"""Who a caller asks: a deployment, or one of its aliases."""

from sightsmith.names import DeploymentName, check_id


def asked_deployment(text: str, field: str) -> tuple[DeploymentName, str]:
    """Reads `projects/{project}/deployments/{deployment}`, to which `@{alias}` may be added (AIP-162).

    Returns:
        The deployment, and the alias; empty if none is asked for.

    Raises:
        InvalidArgumentError: naming `field`, if it is neither.
    """
    name, at, alias = text.partition("@")
    return DeploymentName.parse(name, field), check_id(field, alias) if at else ""
