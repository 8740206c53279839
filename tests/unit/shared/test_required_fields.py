"""Required fields are found wherever they are missing."""

import pytest

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.inference.v1.deployment_service_pb2 import CreateDeploymentRequest, UpdateDeploymentRequest
from sightsmith.api.labeling.v1.labeling_service_pb2 import UploadImagesRequest
from sightsmith.errors import InvalidArgumentError
from sightsmith.rpc.required_fields import check_required_fields


def test_a_complete_request_passes() -> None:
    deployment = Deployment(model="projects/p/models/v1")
    check_required_fields(CreateDeploymentRequest(parent="projects/p", deployment_id="live", deployment=deployment))


def test_every_missing_field_is_named_with_its_path() -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        check_required_fields(CreateDeploymentRequest(deployment=Deployment()))
    assert [violation.field for violation in raised.value.violations] == [
        "parent",
        "deployment_id",
        "deployment.model",
    ]


def test_parts_of_a_oneof_are_looked_into() -> None:
    with pytest.raises(InvalidArgumentError, match=r"header\.source"):
        check_required_fields(UploadImagesRequest(header=UploadImagesRequest.Header(labels=["a"])))


def test_an_update_leaves_out_what_it_does_not_change() -> None:
    check_required_fields(UpdateDeploymentRequest(deployment=Deployment(name="projects/p/deployments/live")))
    with pytest.raises(InvalidArgumentError, match="deployment"):
        check_required_fields(UpdateDeploymentRequest())
