"""Refuses requests that a web page may have made the developer's browser send to a server on this machine.

Any page may address the loopback interface. Forms and plain text need no preflight, so their requests arrive, although the page cannot read
the answers; the emulator would take them as the account owner's. Two signs tell such requests from those of AWS's clients and of Graph:

- A browser says where the page comes from, in `Origin` or `Sec-Fetch-Site`.
- A page whose name resolves to this machine (DNS rebinding) is of the same origin and might read answers, too. The browser sends that name as
  `Host`; it cannot be one of this machine's own names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

OWN_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\]):(?P<port>\d{1,5})", re.IGNORECASE)
# An API as AWS names it, and as the emulator does and the Graph simulator asks for it. No page can have such a name resolve to this machine.
API_HOST = re.compile(r"(?P<api>[a-z0-9]+)\.execute-api\.(?:[a-z0-9-]+\.amazonaws\.com(?:\.cn)?|localhost)(?::\d{1,5})?", re.IGNORECASE)


def refusal(headers: Iterable[tuple[str, str]], ports: set[int]) -> str | None:
    """Why a request with these headers is refused by a server that is addressed by these ports; None if it is not."""
    hosts = []
    for name, value in headers:
        match name.lower():
            case "origin" | "sec-fetch-site":
                return f"A request with the header {name} comes from a web page. This server answers programs on this machine only."
            case "host":
                hosts.append(value)
    if len(hosts) != 1:
        return f"The request has {len(hosts)} Host headers instead of one."
    own = OWN_HOST.fullmatch(hosts[0])
    if (own and int(own["port"]) in ports) or API_HOST.fullmatch(hosts[0]):
        return None
    return "The request's Host is none of this server's names. It answers programs on this machine only."
