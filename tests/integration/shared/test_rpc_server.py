"""What every server does around every call, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import trustme
from google.rpc import code_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from pydantic import SecretStr
from structlog.testing import capture_logs

from sightsmith.api.training.v1 import model_pb2
from sightsmith.api.training.v1 import model_service_pb2 as api
from sightsmith.api.training.v1 import model_service_pb2_grpc as services
from sightsmith.errors import InvalidArgumentError
from sightsmith.logs import current_request_id
from sightsmith.rpc import Context
from sightsmith.rpc.channel import error_of
from sightsmith.rpc.server import RpcServer
from sightsmith.rpc.service_channel import service_channel
from sightsmith.settings import Settings

SERVICE = "sightsmith.api.training.v1.ModelService"
SETTINGS = Settings(token=SecretStr("right"), max_message_bytes=100_000)


class Answering(services.ModelServiceServicer):
    """Answers with the request id that it sees, or fails in the way that it is asked to."""

    async def GetModel(self, request: api.GetModelRequest, context: Context) -> model_pb2.Model:
        if request.name == "bad":
            raise InvalidArgumentError.of_field("name", "is bad")
        if request.name == "broken":
            raise ZeroDivisionError("a secret of the inside")
        return model_pb2.Model(name=current_request_id(), snapshot=request.name)


@pytest.fixture
async def target() -> AsyncIterator[str]:
    server = RpcServer(SETTINGS)
    server.add(services.add_ModelServiceServicer_to_server, Answering(), SERVICE)
    yield await server.start()
    await server.stop()


async def get(target: str, name: str, settings: Settings = SETTINGS, **metadata: str) -> model_pb2.Model:
    async with service_channel(target, settings) as channel:
        stub = services.ModelServiceStub(channel)
        return await stub.GetModel(api.GetModelRequest(name=name), metadata=tuple(metadata.items()))


async def test_a_call_with_the_token_is_answered(target: str) -> None:
    assert (await get(target, "x")).snapshot == "x"


@pytest.mark.parametrize("token", ["wrong", "right ", ""])
async def test_a_wrong_token_is_refused(target: str, token: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await get(target, "x", Settings(token=SecretStr(token)))
    error = error_of(raised.value)
    assert (error.code, error.reason) == (code_pb2.UNAUTHENTICATED, "INVALID_TOKEN")


async def test_no_token_is_refused(target: str) -> None:
    async with aio.insecure_channel(target) as channel:
        with pytest.raises(aio.AioRpcError) as raised:
            await services.ModelServiceStub(channel).GetModel(api.GetModelRequest(name="x"))
    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_health_and_reflection_are_open_to_all(target: str) -> None:
    async with aio.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", SERVICE):
            request = health_pb2.HealthCheckRequest(service=service)
            assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
            watched = await anext(aiter(stub.Watch(request)))
            assert watched.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_knows_our_services(target: str) -> None:
    def list_services() -> list[str]:
        with grpc.insecure_channel(target) as channel:
            return list(ProtoReflectionDescriptorDatabase(channel).get_services())

    assert SERVICE in await asyncio.to_thread(list_services)


async def test_a_missing_field_is_named(target: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await get(target, "")
    error = error_of(raised.value)
    assert (error.code, error.reason) == (code_pb2.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [violation.field for violation in error.violations] == ["name"]


async def test_our_errors_arrive_with_their_details(target: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await get(target, "bad")
    error = error_of(raised.value)
    assert (error.code, error.reason) == (code_pb2.INVALID_ARGUMENT, "INVALID_FIELD")
    assert (error.violations[0].field, error.violations[0].description) == ("name", "is bad")


async def test_a_fault_of_ours_tells_nothing_of_the_inside(target: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await get(target, "broken", **{"x-request-id": "r-1"})
    error = error_of(raised.value)
    assert (error.code, error.reason) == (code_pb2.INTERNAL, "INTERNAL")
    assert error.metadata == {"request_id": "r-1"}
    assert "secret" not in error.message


async def test_a_request_id_is_taken_over_or_made(target: str) -> None:
    assert (await get(target, "x", **{"x-request-id": "r-2"})).name == "r-2"
    made = [(await get(target, "x")).name for _ in range(2)]
    assert all(len(request_id) == 36 for request_id in made)
    assert made[0] != made[1]


async def test_a_message_over_the_limit_is_refused(target: str) -> None:
    with pytest.raises(aio.AioRpcError) as raised:
        await get(target, "x" * 200_000, Settings(token=SecretStr("right"), max_message_bytes=1_000_000))
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "100000" in str(raised.value.details())


async def test_a_taken_port_is_named(target: str) -> None:
    server = RpcServer(Settings(token=SecretStr("right"), listen=target))
    with pytest.raises(OSError, match=target.rpartition(":")[2]):
        await server.start()


async def test_calls_are_logged_with_their_outcome_and_without_the_token(target: str) -> None:
    with capture_logs() as lines:
        await get(target, "x")
        with pytest.raises(aio.AioRpcError):
            await get(target, "bad")
    assert [line["code"] for line in lines if line["event"] == "call"] == ["OK", "INVALID_ARGUMENT"]
    assert "right" not in str(lines)


async def test_tls_by_setting(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "certificate.pem"))
    files = {"tls_certificate_file": tmp_path / "certificate.pem", "tls_key_file": tmp_path / "key.pem"}
    server = RpcServer(SETTINGS.model_copy(update=files))
    server.add(services.add_ModelServiceServicer_to_server, Answering(), SERVICE)
    target = await server.start()
    try:
        trusting = SETTINGS.model_copy(update={"tls_ca_file": tmp_path / "ca.pem"})
        assert (await get(target, "x", trusting)).snapshot == "x"
        with pytest.raises(aio.AioRpcError) as raised:
            await get(target, "x")
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop()
