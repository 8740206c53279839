"""What happens around every call of every server: who calls, what is missing, how it ends, how long it took."""

# gRPC's classes are generic for the type checker only.
from __future__ import annotations

import asyncio
import hmac
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2
from grpc import aio
from grpc_status import rpc_status
from prometheus_client import Counter, Histogram
from structlog.contextvars import bound_contextvars

from sightsmith.actor import ACTOR_HEADER, acting_as
from sightsmith.errors import InternalError, SightsmithError, UnauthenticatedError
from sightsmith.logs import REQUEST_ID, bind_request_id, current_request_id, get_logger
from sightsmith.rpc import Context
from sightsmith.rpc.headers import AUTHORIZATION, REQUEST_ID_HEADER
from sightsmith.rpc.required_fields import check_required_fields, check_texts
from sightsmith.rpc.status import to_status

_OPEN_TO_ALL = ("/grpc.health.v1.Health/", "/grpc.reflection.")
_MAX_REQUEST_ID = 128

_calls = Counter("sightsmith_rpc_total", "Calls that ended, by method and status.", ["method", "code"])
_seconds = Histogram("sightsmith_rpc_seconds", "Time from the beginning to the end of a call.", ["method"])
_log = get_logger(__name__)


class CallInterceptor(aio.ServerInterceptor):
    """Authenticates, checks fields, turns errors into statuses, logs and counts: for all four call kinds."""

    def __init__(self, token: str) -> None:
        self._authorization = f"Bearer {token}".encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the handler of a call."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        metadata = dict(handler_call_details.invocation_metadata or ())
        call = _Call(handler_call_details.method, metadata, self._is_allowed(handler_call_details.method, metadata))
        return call.wrap(handler)

    def _is_allowed(self, method: str, metadata: dict[str, Any]) -> bool:
        given = str(metadata.get(AUTHORIZATION, "")).encode()
        return method.startswith(_OPEN_TO_ALL) or hmac.compare_digest(given, self._authorization)


class _Call:
    """One call from its beginning to its end."""

    def __init__(self, method: str, metadata: dict[str, Any], allowed: bool) -> None:
        self._method = method
        self._allowed = allowed
        self._request_id = str(metadata.get(REQUEST_ID_HEADER, ""))[:_MAX_REQUEST_ID]
        self._actor = unquote(str(metadata.get(ACTOR_HEADER, "")))

    def wrap(self, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
        """The same handler with everything around it."""
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

        async def answer_once(request: Any, context: Context) -> Any:
            outcome = _Outcome()
            with self._observed(outcome):
                try:
                    return await inner(self._checked(request), context)
                except Exception as error:
                    await outcome.abort(error, context)

        async def answer_stream(request: Any, context: Context) -> AsyncIterator[Any]:
            outcome = _Outcome()
            with self._observed(outcome):
                try:
                    async for response in inner(self._checked(request), context):
                        yield response
                except Exception as error:
                    await outcome.abort(error, context)

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        # A coroutine that answers with a stream writes it to the context itself, as the health service does.
        is_generator = handler.response_streaming and not inspect.iscoroutinefunction(inner)
        return make(
            answer_stream if is_generator else answer_once,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _checked(self, request: Any) -> Any:
        if not self._allowed:
            raise UnauthenticatedError("a valid bearer token is needed in the metadata 'authorization: Bearer …'")
        if isinstance(request, Message):
            _check(request)
            return request
        return _checked_stream(request)

    @contextmanager
    def _observed(self, outcome: _Outcome) -> Iterator[None]:
        begin = time.perf_counter()
        bound = bound_contextvars(method=self._method, **{REQUEST_ID: bind_request_id(self._request_id)})
        with bound, acting_as(self._actor):
            try:
                yield
            except asyncio.CancelledError:
                outcome.code = "CANCELLED"
                raise
            finally:
                elapsed = time.perf_counter() - begin
                _calls.labels(self._method, outcome.code).inc()
                _seconds.labels(self._method).observe(elapsed)
                write = _log.debug if self._method.startswith(_OPEN_TO_ALL) else _log.info
                write("call", code=outcome.code, milliseconds=round(elapsed * 1000, 2))


class _Outcome:
    """How a call ended; OK until something else is known."""

    def __init__(self) -> None:
        self.code = "OK"

    async def abort(self, error: Exception, context: Context) -> None:
        """Ends the call with the status of an error. Does not return."""
        if isinstance(error, aio.AbortError):
            self.code = "ABORTED"
            raise error
        if not isinstance(error, SightsmithError):
            request_id = current_request_id()
            _log.exception("unexpected error")
            error = InternalError("unexpected error; the log tells more", metadata={"request_id": request_id})
        self.code = code_pb2.Code.Name(error.code)
        await context.abort_with_status(rpc_status.to_status(to_status(error)))


async def _checked_stream(requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    async for request in requests:
        _check(request)
        yield request


def _check(request: Message) -> None:
    check_required_fields(request)
    check_texts(request)
