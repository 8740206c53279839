"""Names of the metadata of calls."""

AUTHORIZATION = "authorization"
REQUEST_ID_HEADER = "x-request-id"
