"""Sizes that clients and services share."""

MEBIBYTE = 1024 * 1024
# Both ends of a channel must allow it: gRPC's own limit is 4 MiB.
MAX_MESSAGE_BYTES = 32 * MEBIBYTE
