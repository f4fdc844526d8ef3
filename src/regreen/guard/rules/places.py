"""Which kind of place an argument names: this machine, the project's upstream, elsewhere.

Host names are compared after the tricks that hide them: user names before an ``@``, numbers in
other bases, percent signs. A host that is only half known is unknown, and unknown is not local.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from regreen.guard.shell.scope import HOLE
from regreen.guard.subject import Subject

__all__ = ["Hosts", "Kind", "Place", "place_of"]

Kind = Literal[
    "path",
    "local",
    "upstream",
    "mirror",
    "index",
    "metadata",
    "remote",
    "unknown",
    "name",
    "default",
]
"""``path`` a file here, ``local`` this machine over the network, ``name`` a git remote's name,
``default`` the place a command takes when none is given."""

_SCP = re.compile(r"(?:[\w.+-]+@)?([\w.-]+):(?!//|\\)(.*)", re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|//|[a-z]+::", re.IGNORECASE)
_HERE = ("localhost", "ip6-localhost", "ip6-loopback", "0.0.0.0", "::", "::1", "0")
_NOWHERE = (".localhost", ".test", ".invalid", ".example")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command would go."""

    kind: Kind
    """Class of the place."""
    text: str
    """As it was named."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Known hosts by class, as patterns of their ends."""

    mirror: tuple[str, ...] = ()
    """Copies of repositories, archives and code search."""
    index: tuple[str, ...] = ()
    """Package indexes and their file hosts."""
    metadata: tuple[str, ...] = ()
    """Services of the machine that runs the boxes."""


def place_of(
    text: str, subject: Subject, hosts: Hosts, bare: Literal["host", "path", "name"] = "path"
) -> Place:
    """Classify one argument.

    Args:
        text: the argument.
        subject: upstream of what.
        hosts: known hosts.
        bare: what a word without a scheme is.
    """
    if text.lower().startswith(("file:", "data:")):
        return Place("path", text)
    host = _host(text, bare)
    if host is None:
        if text == HOLE or (HOLE in text and bare != "path"):
            return Place("unknown", text)
        return Place("name" if bare == "name" and not _is_path(text) else "path", text)
    return Place(_kind(host, text, subject, hosts), text)


def _is_path(text: str) -> bool:
    return "/" in text or text.startswith(".") or text.endswith((".git", ".bundle"))


def _host(text: str, bare: str) -> str | None:
    """The host a text names, or None for a path or a name."""
    if found := _SCHEME.match(text):
        rest = text[found.end() :]
        if found[0].endswith("::"):
            return _host(rest, bare) or "transport"
        try:
            return urlsplit("//" + rest.replace("\\", "/")).hostname or ""
        except ValueError:
            return rest.split("/")[0]
    if bare in {"path", "name"}:
        scp = _SCP.fullmatch(text)
        return scp[1] if scp and len(scp[1]) > 1 and "/" not in scp[1] else None
    head = re.split(r"[/?#]", text, maxsplit=1)[0].rpartition("@")[2]
    if not head:
        return None
    inside = re.fullmatch(r"\[(.*)\](?::\d+)?", head)
    return inside[1] if inside else head.partition(":")[0]


def _kind(host: str, text: str, subject: Subject, hosts: Hosts) -> Kind:  # noqa: PLR0911
    name = unquote(host).lower().rstrip(".")
    if HOLE in name:
        return "unknown"
    address = _address(name)
    if address is not None:
        if address.is_loopback or address.is_unspecified:
            return "local"
        return "metadata" if address.is_link_local or str(address) in hosts.metadata else "remote"
    if name in _HERE or name.endswith(_NOWHERE):
        return "local"
    if subject.named_in(text):
        return "upstream"
    kinds: Sequence[tuple[Kind, tuple[str, ...]]] = (
        ("metadata", hosts.metadata),
        ("index", hosts.index),
        ("mirror", hosts.mirror),
    )
    for kind, ends in kinds:
        if any(name == end or name.endswith("." + end) for end in ends):
            return kind
    return "remote" if name else "path"


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address literal in any base that the C library reads."""
    try:
        found = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        if not re.fullmatch(r"(0x[0-9a-f]+|\d+)(\.(0x[0-9a-f]+|\d+)){0,3}", name):
            return None
        try:
            found = ipaddress.ip_address(socket.inet_aton(name))
        except OSError:
            return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found
