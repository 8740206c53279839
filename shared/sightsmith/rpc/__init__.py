"""gRPC as every process here speaks it: servers, channels, and errors as `google.rpc.Status`."""

from typing import Any, TypeAlias

from grpc import aio

# What a servicer method gets beside the request. No servicer of ours uses it to send: errors are raised.
Context: TypeAlias = aio.ServicerContext[Any, Any]
