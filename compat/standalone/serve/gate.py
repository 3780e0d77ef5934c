"""Decides which requests the server accepts: those of its own editor and of local programs.

A page of another site can make a browser send requests to 127.0.0.1. Browsers state where a request
comes from (Origin, Sec-Fetch-Site) and under which name the server was called (Host). On a loopback
address the name must be a loopback name too, so a site whose name points here (DNS rebinding) gets
nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

# The editor may load and request only from this server, so nothing leaves the machine.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-src 'self'; object-src 'none'"
)
# File types that a browser would run as part of the editor; they are sent as downloads.
ACTIVE = ("html", "javascript", "ecmascript", "xml", "css", "rfc822")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(headers: Mapping[str, str], *, opens_page: bool, loopback: bool) -> str | None:
    """Why a request is refused; None if it is accepted.

    opens_page: the request is for the editor's page, to which other sites may link.
    loopback: the server listens only on a loopback address.
    """
    asked = urlsplit(f"//{headers.get('Host', '').lower()}")
    if loopback and not is_loopback(asked.hostname or ""):
        return (
            f'this server answers to this machine alone, not to the name "{asked.hostname}". '
            "Start it with --listen and an address of this machine to be reached from others."
        )
    if headers.get("Sec-Fetch-Site") == "cross-site" and not opens_page:
        return "a page of another site has asked."
    if "Origin" in headers:
        origin = urlsplit(headers["Origin"].lower())
        usual = {"http": 80, "https": 443}.get(origin.scheme)
        here = (asked.hostname, asked.port or usual)
        if (origin.hostname, origin.port or usual) != here:
            return f"a page of {headers['Origin']} has asked."
    return None


def is_active(content_type: str) -> bool:
    """Would a browser run a file of this type?"""
    return any(word in content_type.lower() for word in ACTIVE)
