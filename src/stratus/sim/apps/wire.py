"""What a caller is told when a call does not come through, in the words of each protocol's usual client."""

from __future__ import annotations

from stratus.sim.network import NoSuchHost, Refused, TimedOut, Turned

#: Seconds until a failed connection is noticed (a timeout takes as long as the caller waits).
REFUSED_AFTER, UNKNOWN_AFTER = 0.001, 0.004
#: Seconds until a resolver that gets no answer gives up (two tries of five).
NO_DNS_AFTER = 10.0
Broken = NoSuchHost | Refused | TimedOut | Turned
_WHY = {
    "NXDOMAIN": "no such host",
    "SERVFAIL": "server misbehaving",
    "REFUSED": "server misbehaving",
    "TIMEOUT": "i/o timeout",
    "UNREACHABLE": "connection refused",
}


def failure(connection: Broken, protocol: str, host: str, port: int) -> str:
    """Return the client's error text for a connection that was not made."""
    if isinstance(connection, NoSuchHost):
        cause = f"dial tcp: lookup {host} on {connection.server}:53: {_WHY.get(connection.rcode, 'no such host')}"
    elif isinstance(connection, Turned):
        return _turned(connection, protocol, host, port)
    elif isinstance(connection, Refused):
        cause = f"dial tcp {connection.address}:{port}: connect: connection refused"
    else:
        cause = f"dial tcp {connection.address}:{port}: i/o timeout"
    if protocol == "grpc":
        if isinstance(connection, TimedOut):
            return (
                "rpc error: code = DeadlineExceeded desc = context deadline exceeded while waiting for connections "
                f'to become ready: last connection error: connection error: desc = "transport: {cause}"'
            )
        text = f'connection error: desc = "transport: Error while dialing: {cause}"'
        return f"rpc error: code = Unavailable desc = {text}"
    if protocol == "mongodb":
        return (
            f"server selection error: server selection timeout, current topology: {{ Type: Unknown, Servers: "
            f"[{{ Addr: {host}:{port}, Type: Unknown, Last error: {cause} }}] }}"
        )
    if protocol == "memcached":
        if isinstance(connection, TimedOut):
            return f"memcache: connect timeout to {host}:{port}"
        return f"memcache: no servers configured or available: {cause}"
    if protocol == "http":
        return f'Get "http://{host}:{port}/": {cause}'
    if protocol == "thrift":
        return f"TTransportException: {_thrift(connection, host, port)}"
    if protocol == "postgresql":
        if isinstance(connection, NoSuchHost):
            return f'could not translate host name "{host}" to address: {_unknown(connection)}'
        why = "Connection timed out" if isinstance(connection, TimedOut) else "Connection refused"
        return f'connection to server at "{host}" ({connection.address}), port {port} failed: {why}'
    if protocol == "redis":
        if isinstance(connection, NoSuchHost):
            number = -2 if connection.rcode == "NXDOMAIN" else -3
            return f"Error {number} connecting to {host}:{port}. {_unknown(connection)}."
        why = "110 connecting to {}. Connection timed out." if isinstance(connection, TimedOut) else ""
        return "Error " + (why or "111 connecting to {}. Connection refused.").format(f"{host}:{port}")
    if protocol == "kafka":
        return f"kafka: client has run out of available brokers to talk to: {cause}"
    return cause


def _turned(connection: Turned, protocol: str, host: str, port: int) -> str:
    """Return what a client reads when something in front of the application answers."""
    if not connection.status:
        scheme = "https" if port in (443, 8443) else "http"
        return f'Get "{scheme}://{host}/": tls: failed to verify certificate: {connection.message}'
    if protocol == "grpc":
        code = {404: "Unimplemented", 503: "Unavailable", 502: "Unavailable", 504: "Unavailable"}
        name = code.get(connection.status, "Unknown")
        return f"rpc error: code = {name} desc = unexpected HTTP status code received from server: {connection.message}"
    return f'Get "http://{host}:{port}/": unexpected status: {connection.message}'


def _thrift(connection: Broken, host: str, port: int) -> str:
    if isinstance(connection, NoSuchHost):
        return "Could not resolve host for client socket."
    if isinstance(connection, Refused):
        return f"socket open() error: Connection refused (Host: {host} Port: {port})"
    return f"open() timed out (Host: {host} Port: {port})"


def _unknown(connection: NoSuchHost) -> str:
    """Return the C library's words for a name without an address."""
    known = connection.rcode == "NXDOMAIN"
    return "Name or service not known" if known else "Temporary failure in name resolution"


def wait_of(connection: Broken, timeout: float) -> float:
    """Return the seconds after which a caller knows that a connection was not made."""
    if isinstance(connection, TimedOut):
        return timeout
    if isinstance(connection, NoSuchHost) and connection.rcode == "TIMEOUT":
        return min(timeout, NO_DNS_AFTER)
    return UNKNOWN_AFTER if isinstance(connection, NoSuchHost) else REFUSED_AFTER


def too_late(protocol: str, host: str, port: int) -> str:
    """Return the client's error text when the answer takes too long."""
    if protocol == "grpc":
        return "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
    if protocol == "memcached":
        return f"memcache: read timeout from {host}:{port}"
    if protocol == "thrift":
        return "TTransportException: THRIFT_EAGAIN (timed out)"
    if protocol == "postgresql":
        return "canceling statement due to user request: timeout"
    if protocol == "redis":
        return f"Timeout reading from {host}:{port}"
    if protocol == "kafka":
        return "kafka: request timed out before a broker acknowledged the message"
    if protocol == "http":
        why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return f'Get "http://{host}:{port}/": {why}'
    return f"connection({host}:{port}) incomplete read of message header: context deadline exceeded"


def misunderstood(protocol: str, program: str, operation: str) -> str:
    """Return the client's error text when the process at the other end is not what the caller takes it for."""
    if protocol == "grpc":
        return f"rpc error: code = Unimplemented desc = unknown method {operation} (the server is {program})"
    if protocol == "http":
        return f"404 page not found ({operation})"
    if protocol == "thrift":
        return f"TApplicationException: Invalid method name: '{operation}' (the server is {program})"
    return f"unexpected answer from {program}"


def turned_away(protocol: str) -> str:
    """Return the client's error text when the process at the other end has no room for another request."""
    if protocol == "grpc":
        return "rpc error: code = ResourceExhausted desc = too many requests waiting"
    if protocol == "http":
        return "503 Service Unavailable: too many requests waiting"
    if protocol == "thrift":
        return "TTransportException: No more data to read. (server overloaded)"
    if protocol == "postgresql":
        return "FATAL: sorry, too many clients already"
    if protocol == "redis":
        return "ERR max number of clients reached"
    return "connection closed by the server: too many connections"


def cut_off(protocol: str, host: str, port: int) -> str:
    """Return the client's error text when the other end dies with the request under way."""
    if protocol == "grpc":
        return "rpc error: code = Unavailable desc = error reading from server: EOF"
    if protocol == "thrift":
        return "TTransportException: No more data to read."
    if protocol == "http":
        return f'Get "http://{host}:{port}/": read tcp: connection reset by peer'
    if protocol == "postgresql":
        return "server closed the connection unexpectedly"
    return f"read tcp {host}:{port}: connection reset by peer"


def no_connection(target: str, pool: int, seconds: float) -> str:
    """Return what a program says when all connections of its pool are taken for too long."""
    return f"connection pool of {target} exhausted: none of {pool} free within {seconds:g} s"


def not_tls(protocol: str, host: str, port: int) -> str:
    """Return the client's error text when the server wants TLS and the client does not speak it."""
    if protocol == "mongodb":
        return f"No suitable servers found: [connection closed calling hello on '{host}:{port}']"
    return f"connection to {host}:{port} closed by the server (it requires TLS)"


__all__ = [
    *("Reached", "cut_off", "failure", "misunderstood", "no_connection", "not_tls", "too_late", "turned_away"),
    "wait_of",
]
