"""Listeners, certificates and trusted proxies: sound addresses, once each, with what they need.

Place:  manifest.load -> [manifest.checks.doors]
Rule:   looks at files, opens no socket; whether a port is free is known when it is bound.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path

from pydantic_core import PydanticCustomError

from mergepoint.core.problems import Severity
from mergepoint.manifest.certificates import fault_of
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.rundir import SOCKET_PATH_BYTES_MAX
from mergepoint.manifest.shown import KeyPath
from mergepoint.manifest.site import Listener, Site
from mergepoint.manifest.tables.forms import parse_host
from mergepoint.manifest.tables.site import ListenTable
from mergepoint.manifest.validate import Draft, Report

LISTENERS_MAX = 64
PRIVILEGED_BELOW = 1024
FORM = 'write "127.0.0.1:8000", "[::]:8000", ":8000" or "unix:/run/acme.sock"'


def check_doors(site: Site, draft: Draft, report: Report, machine: Machine) -> None:
    """Report listeners, certificates and trusted proxies that cannot work."""
    if "listen" not in draft.site_broken:
        _listeners(site, draft, report, machine)
    if "tls" not in draft.site_broken:
        _certificates(site, report, machine)
    if "trusted_proxies" not in draft.site_broken:
        _proxies(site, report)


def _listeners(site: Site, draft: Draft, report: Report, machine: Machine) -> None:
    if not 1 <= len(site.listeners) <= LISTENERS_MAX:
        fix = 'write listen = "127.0.0.1:8000"'
        report.add(("site", "listen"), f"must name 1 to {LISTENERS_MAX} addresses", fix=fix)
        return
    if all(listener.admin for listener in site.listeners):
        fix = "add an address without admin = true"
        report.add(("site", "listen"), "has no address for the site itself", fix=fix)
    names: set[str] = set()
    addresses: dict[str, int] = {}
    for position, listener in enumerate(site.listeners):
        path = ("site", "listen", position)
        reason = address_fault(listener.address)
        if reason:
            report.add(path, reason, fix=FORM, value=draft.site.listen[position].address)
            continue
        if listener.address in addresses:
            fix = "listen on each address once"
            report.add(path, "is listed twice", fix=fix, value=listener.address)
        addresses.setdefault(listener.address, position)
        if listener.name in names:
            fix = "give each listener a name of its own"
            report.add(path, "has the name of another listener", fix=fix, value=listener.name)
        names.add(listener.name)
        _needs(path, listener, site, report, machine)
        _sends_on(path, listener, draft.site.listen[position], report)


def address_fault(address: str) -> str:
    """Return what is wrong with a listening address, or nothing."""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path:
            return "is not an absolute socket path"
        long = len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX
        return f"is longer than the {SOCKET_PATH_BYTES_MAX} bytes of a socket path" if long else ""
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port):
        return "has no port"
    if not 0 <= int(port) <= 65535:
        return "has a port above 65535"
    return "" if _is_host(host) else "has a host that is neither a name nor an IP address"


def _is_host(host: str) -> bool:
    try:
        return parse_host(host) != "*" and not host.startswith("*")
    except PydanticCustomError:
        return False


def _needs(path: KeyPath, listener: Listener, site: Site, report: Report, machine: Machine) -> None:
    """Report what a sound address still lacks: a certificate, rights, proxies to believe."""
    port = 0 if listener.address.startswith("unix:") else int(listener.address.rpartition(":")[2])
    shown, warn = listener.address, Severity.WARNING
    if listener.tls and not site.certificates:
        fix = 'add [site.tls] certificates = [{ cert = "...", key = "..." }]'
        report.add(path, "speaks TLS but there is no certificate", fix=fix, value=shown)
    elif port == 443 and not listener.tls:
        fix = "add [site.tls] certificates, or listen on another port"
        report.add(path, "is the port of HTTPS but does not speak TLS", fix=fix, value=shown)
    if 0 < port < PRIVILEGED_BELOW and not machine.is_root:
        fix = "start as root, use systemd socket activation, or a port from 1024 on"
        report.add(path, "needs rights this user may lack", fix=fix, value=shown, severity=warn)
    if listener.proxy_protocol and not site.trusted_proxies:
        fix = 'add trusted_proxies = ["10.0.0.0/8"]'
        report.add(path, "expects the PROXY protocol but trusts no proxy", fix=fix, value=shown)
    if listener.admin and not listener.address.startswith(("127.", "[::1]", "localhost:", "unix:")):
        fix = "listen on 127.0.0.1, or keep the port behind a firewall"
        report.add(path, "shows metrics to the network", fix=fix, value=shown, severity=warn)


def _sends_on(path: KeyPath, listener: Listener, written: ListenTable, report: Report) -> None:
    if written.redirect_https and listener.tls:
        fix, message = "leave it out here", "speaks TLS and cannot send visitors to it"
        report.add((*path, "redirect_https"), message, fix=fix, value=True)
    elif written.redirect_https and listener.https_port is None:
        fix, message = 'listen on "https://0.0.0.0:443", too', "there is no address that speaks TLS"
        report.add((*path, "redirect_https"), message, fix=fix, value=True)


def _certificates(site: Site, report: Report, machine: Machine) -> None:
    for position, certificate in enumerate(site.certificates):
        path = ("site", "tls", "certificates", position)
        files = (("cert", certificate.cert), ("key", certificate.key))
        for key, file in files:
            if not machine.is_readable(file):
                _no_file((*path, key), file, report, machine)
        if all(machine.is_readable(file) for _, file in files):
            fault = fault_of(certificate.cert, certificate.key)
            if fault is not None:
                report.add((*path, fault.key), fault.message, fix=fault.fix)
        if machine.is_open_to_others(certificate.key):
            report.add(
                (*path, "key"),
                "is readable by every user of this machine",
                fix=f"chmod 600 {certificate.key}",
                severity=Severity.WARNING,
            )


def _no_file(path: KeyPath, file: Path, report: Report, machine: Machine) -> None:
    if machine.is_file(file):
        report.add(path, f"{file} cannot be read by this user", fix=f"ls -l {file}")
    else:
        report.add(
            path, f"there is no file {file}", fix="correct the path; it is from the manifest"
        )


def network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return an address or a network; None for others, such as netmasks, which the edge refuses."""
    try:
        plain = re.fullmatch(r"[0-9A-Fa-f.:]+(/[0-9]{1,3})?", text)
        return ipaddress.ip_network(text, strict=False) if plain else None
    except ValueError:
        return None


def _proxies(site: Site, report: Report) -> None:
    for position, network in enumerate(site.trusted_proxies):
        path = ("site", "trusted_proxies", position)
        parsed = network_of(network)
        if parsed is None:
            fix = 'write "10.0.0.5" or "10.0.0.0/8"'
            report.add(path, "is neither an IP address nor a network", fix=fix, value=network)
            continue
        if parsed.prefixlen == 0:
            fix = "name the addresses of your proxies"
            message = "lets every client choose its own address"
            report.add(path, message, fix=fix, value=network, severity=Severity.WARNING)
        elif "/" in network and str(parsed.network_address) != network.partition("/")[0]:
            report.add(path, "has bits beyond its mask", fix=f'write "{parsed}"', value=network)
