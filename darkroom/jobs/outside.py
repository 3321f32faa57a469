"""One POST to an address outside, and never, unless allowed, to this machine or its neighbours.

A name is resolved once, every address it has is checked, and the connection goes to a checked one: so a name that means
something else a moment later (DNS rebinding) gains nothing. Redirects are not followed, proxies not asked.
Must not know: what is said.
"""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# An IPv4 address inside of an IPv6 one, where a gateway translates.
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


class AddressRefused(Exception):
    """The name leads to a place that is not to be called."""


def post(address: str, body: bytes, *, timeout: float, allow_private: bool) -> int:
    """The status of the answer. Raises AddressRefused, and OSError when there is no answer."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    is_secure = parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    found = addresses_of(host, port)
    refused = [] if allow_private else [each for each in found if not is_public(each)]
    if refused:
        raise AddressRefused(f"{host} is {refused[0]}, which is not a public address (webhooks.allow_private)")
    connection = _connection(host, port, found, timeout, is_secure=is_secure)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Content-Type": "application/json", "User-Agent": "Darkroom", "Connection": "close"}
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(f"no answer of HTTP: {type(error).__name__}") from error
    finally:
        connection.close()


def addresses_of(host: str, port: int) -> list[Address]:
    """Raises OSError when the name has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("this cannot be a name") from error
    return [ipaddress.ip_address(str(where[0]).partition("%")[0]) for *_, where in found]


def is_public(address: Address) -> bool:
    """Whether anyone in the world means the same machine by it; an address within an address must be public too."""
    return all(each.is_global and not each.is_multicast for each in _with_inner(address))


def _with_inner(address: Address) -> Iterable[Address]:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return [address.ipv4_mapped]
        if address.sixtofour is not None:
            return [address, address.sixtofour]
        if address.teredo is not None:
            return [address, *address.teredo]
        if address in TRANSLATED:
            return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address]


def _connection(
    host: str, port: int, addresses: Iterable[Address], timeout: float, *, is_secure: bool
) -> http.client.HTTPConnection:
    """Connected to the first of these addresses that answers. The certificate must be the name's."""
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout)
        if is_secure
        else http.client.HTTPConnection(host, port, timeout=timeout)
    )
    line = _connected(addresses, port, timeout)
    try:
        connection.sock = ssl.create_default_context().wrap_socket(line, server_hostname=host) if is_secure else line
    except OSError:
        line.close()
        raise
    return connection


def _connected(addresses: Iterable[Address], port: int, timeout: float) -> socket.socket:
    problem: OSError = OSError("the name has no address")
    for address in addresses:
        try:
            return socket.create_connection((str(address), port), timeout)
        except OSError as error:
            problem = error
    raise problem
