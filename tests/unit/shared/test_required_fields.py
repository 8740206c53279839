"""Required fields are found wherever they are missing, and NUL characters wherever they are."""

import pytest
from google.protobuf.struct_pb2 import Struct

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.inference.v1.deployment_service_pb2 import CreateDeploymentRequest, UpdateDeploymentRequest
from sightsmith.api.labeling.v1.labeling_service_pb2 import UploadImagesRequest
from sightsmith.errors import InvalidArgumentError
from sightsmith.rpc.required_fields import check_required_fields, check_texts


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


def test_every_text_with_a_nul_character_is_named_with_its_path() -> None:
    header = UploadImagesRequest.Header(labels=["a", "b\0", "\0"], source="c\0")
    with pytest.raises(InvalidArgumentError) as raised:
        check_texts(UploadImagesRequest(header=header))
    found = {violation.field for violation in raised.value.violations}
    assert found == {"header.source", "header.labels[1]", "header.labels[2]"}
    assert "\0" not in raised.value.message


def test_nul_characters_in_maps_are_found() -> None:
    request = Struct()
    request.update({"plain": "x", "sound": {"deep": "a\0"}, "bad\0": "x"})
    with pytest.raises(InvalidArgumentError) as raised:
        check_texts(request)
    found = {violation.field for violation in raised.value.violations}
    assert found == {"fields", "fields['sound'].struct_value.fields['deep'].string_value"}


def test_bytes_may_hold_anything() -> None:
    check_texts(UploadImagesRequest(chunk=b"\0"))
    check_texts(CreateDeploymentRequest(parent="projects/p", deployment_id="live"))
