"""gRPC as every process here speaks it: servers, channels, and errors as `google.rpc.Status`."""

from typing import Any, TypeAlias

from grpc import aio

# What a servicer method gets beside the request. Errors are raised, and answers returned or yielded; only the stream of
# predictions is written to it, so that its end is the end of everything that works for it.
Context: TypeAlias = aio.ServicerContext[Any, Any]
