"""Who may talk to the server: the editor that it has served itself, and programs of this machine.

A page of another site can make a browser send requests to 127.0.0.1. Browsers say where a request
comes from (Origin, Sec-Fetch-Site), and by which name the server was called (Host). On a loopback
address the name must be a loopback one, so that a site whose name was pointed here (DNS rebinding)
gets nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

# The editor may load and ask only what this server has: nothing leaves the machine.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-src 'self'; object-src 'none'"
)
# What a browser would run in the editor's name; such files are sent as downloads.
ACTIVE = ("html", "javascript", "ecmascript", "xml", "css", "rfc822")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(headers: Mapping[str, str], *, opens_page: bool, loopback: bool) -> str | None:
    """Why a request is refused, None for a good one.

    opens_page: it asks for the editor's page, where a link of another site may lead.
    loopback: the server listens on a loopback address alone.
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
    """Would a browser run what a file of this type says?"""
    return any(word in content_type.lower() for word in ACTIVE)
