"""Proxies of the environment, which Ray's processes must not ask for each other."""

from __future__ import annotations

import os

__all__ = ["leave_out_proxies"]

_PROXIES = ("grpc_proxy", "http_proxy", "https_proxy", "all_proxy")
#: Who is reached without them; gRPC reads the first alone where it is set.
_EXCEPTIONS = ("no_grpc_proxy", "no_proxy", "NO_PROXY")


def leave_out_proxies(*hosts: str) -> None:
    """Have what this process starts reach hosts directly, where the environment names a proxy for others.

    gRPC asks the proxy for every address but those that ``no_proxy`` lists, the loopback too; so a Ray of
    one's own hangs where the proxy is one for the outside.
    """
    if not any(os.environ.get(form) for name in _PROXIES for form in (name, name.upper())):
        return
    for variable in _EXCEPTIONS:
        known = os.environ.get(variable)
        if known is None and variable == "no_grpc_proxy":
            continue
        listed = [each for each in (known or "").split(",") if each]
        os.environ[variable] = ",".join(dict.fromkeys([*listed, *hosts]))
