"""gRPC as every process here speaks it: servers, channels, and errors as `google.rpc.Status`."""
