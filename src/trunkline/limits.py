"""Every number of API Gateway, every close code and every fixed text: once, named, with its source.

KB is 1024 bytes. Sources: "quotas" is AWS's page of WebSocket API quotas; "captured" means that the
value was read off events and frames which API Gateway really sent.
"""

from __future__ import annotations

from typing import Final

# Sizes.
FRAME_BYTES: Final = 32 * 1024  # quotas: WebSocket frame size
MESSAGE_BYTES: Final = 128 * 1024  # quotas: message payload size
INVOKE_BYTES: Final = 6 * 1024 * 1024  # Lambda's quotas: payload of an invocation
DOCUMENT_BYTES: Final = 400 * 1024  # DynamoDB: item size
AUTHORIZER_BYTES: Final = 8 * 1024  # quotas: result of a Lambda authorizer
URL_BYTES: Final = 4096  # quotas: URL length
HEADER_COUNT: Final = 100
HEADER_BYTES: Final = 32 * 1024
AWS_HEADER_BYTES: Final = 10_240  # quotas of REST APIs: request line and header values; inferred for handshakes
REQUEST_LINE_BYTES: Final = 8 * 1024

# Times, in seconds.
IDLE_SECONDS: Final = 600.0  # quotas: idle connection timeout
LIFETIME_SECONDS: Final = 7200.0  # quotas: connection duration
HANDLER_SECONDS: Final = 29.0  # quotas: integration timeout
HANDSHAKE_SECONDS: Final = 10.0  # a half-sent request is cut after this
REFUSED_SECONDS: Final = 2.0  # a refused client has this long to send its request and to read the answer
CLOSE_SECONDS: Final = 2.0  # how long a closing handshake may take before the socket is cut
PAUSED_SECONDS: Final = 1.0  # reading paused for longer: the kernel is asked whether the client hung up
KEEPALIVE_IDLE_SECONDS: Final = 30  # a silent client is probed by TCP, never by WebSocket pings: AWS sends none
KEEPALIVE_INTERVAL_SECONDS: Final = 10
KEEPALIVE_PROBES: Final = 3
UNACKNOWLEDGED_SECONDS: Final = 60  # sent, and not acknowledged by the client's system for so long: it is gone
HELD_FILE_BYTES: Final = 64 * 1024  # a static file up to this is read at once, a larger one in pieces of it
STALLED_SECONDS: Final = 60.0  # a client that has not read an HTTP answer for so long is cut
SLOW_SECONDS: Final = 10.0  # how long an output queue may stay full before the connection is aborted
SLOW_STEP_SECONDS: Final = 0.1  # a handler that holds the loop for longer is reported

# What one connection may hold in memory.
READ_BYTES: Final = 64 * 1024  # one read of the socket
WAITING_MESSAGES: Final = 16
WAITING_BYTES: Final = 256 * 1024
OUTPUT_BYTES: Final = 1024 * 1024
WRITE_BYTES: Final = 64 * 1024  # output of one turn is written early past this
WRITES_PER_TURN: Final = 32  # outputs that are flushed in one turn of the loop, about 0.3 ms
FAN_OUT_SLICE: Final = 256  # a broadcast yields to the loop after this many sends

# Counts.
REFUSED_SOCKETS: Final = 1000  # past so many sockets without a request, those that are refused get no answer
CLOSES_PER_SECOND: Final = 500  # while a node drains; quotas: new connections per second
CONNECTS_PER_SECOND: Final = 500  # quotas: new connections per second, of an account in a Region
REQUESTS_PER_SECOND: Final = 10_000  # quotas: requests per second, calls to @connections among them
REQUESTS_BURST: Final = 5_000  # quotas: the bucket of these
ROUTES: Final = 300  # quotas: routes per API
INT_DIGITS: Final = 38  # DynamoDB: precision of a number

# RFC 6455 section 7.4.1.
CLOSE_NORMAL: Final = 1000
CLOSE_GOING_AWAY: Final = 1001
CLOSE_PROTOCOL_ERROR: Final = 1002
CLOSE_UNSUPPORTED: Final = 1003
CLOSE_NO_STATUS: Final = 1005
CLOSE_ABNORMAL: Final = 1006
CLOSE_INVALID_DATA: Final = 1007
CLOSE_POLICY: Final = 1008
CLOSE_TOO_BIG: Final = 1009
CLOSE_RESTART: Final = 1012

# Texts that API Gateway sends.
REASON_DELETED: Final = "Connection Closed Normally"  # captured
REASON_GOING_AWAY: Final = "Going away"  # captured
REASON_RESTART: Final = "Service restart"  # RFC 6455's registry of close codes
REASON_BINARY: Final = "Binary is not supported"  # captured
REASON_NO_STATUS: Final = "Client-side close frame status not set"  # AWS's sample event
REASON_ABNORMAL: Final = "Connection closed abnormally"  # inferred
REASON_TOO_BIG: Final = "Message too long"  # inferred
REASON_EXPIRED: Final = "Token expired"  # ours: API Gateway never closes for it
MESSAGE_FORBIDDEN: Final = "Forbidden"  # captured
MESSAGE_INTERNAL_ERROR: Final = "Internal server error"  # captured
MESSAGE_BAD_BODY: Final = "Bad request body"  # AWS's example of it
MESSAGE_BAD_PARAMETERS: Final = "Bad request parameters"  # inferred
MESSAGE_TIMEOUT: Final = "Endpoint request timed out"  # inferred
MESSAGE_THROTTLED: Final = "Too Many Requests"  # inferred
MESSAGE_NO_ROOM: Final = "Service Unavailable"  # no disk for the journal: inferred from HTTP's own words
MESSAGE_UNAUTHORIZED: Final = "Unauthorized"  # captured
MESSAGE_NOT_ALLOWED: Final = (  # captured
    "User is not authorized to access this resource because no identity-based policy allows the execute-api:Invoke "
    "action"
)
MESSAGE_DENIED: Final = (  # captured
    "User is not authorized to access this resource with an explicit deny in an identity-based policy"
)
