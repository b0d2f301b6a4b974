"""Listeners: bound once, handed over by name, refused with the owner's name."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mergepoint.supervisor import sockets
from mergepoint.supervisor.contract import ListenerSpec
from mergepoint.supervisor.notify import Notifier
from mergepoint.supervisor.sockets import ListenerRefused


def test_each_kind_of_address_is_bound_and_told_as_the_manifest_writes_it(tmp_path: Path) -> None:
    addresses = ["127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/site.sock"]
    specs = [ListenerSpec(str(n), address) for n, address in enumerate(addresses)]
    found = sockets.take(specs, {})
    bound = [listener.bound for listener in found.values()]
    assert bound[0].startswith("127.0.0.1:")
    assert bound[1].startswith("[::1]:")
    assert bound[2] == addresses[2]
    for address in bound:
        family, host, port = sockets.parse_address(address)
        with socket.socket(family) as client:
            client.connect(host if family is socket.AF_UNIX else (host, port))
    for listener in found.values():
        listener.close()


def test_a_busy_port_names_its_owner_and_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenerRefused) as caught:
            sockets.take([ListenerSpec("http", f"127.0.0.1:{port}")], {})
    assert f"(pid {os.getpid()})" in caught.value.message
    assert "another port, for instance" in caught.value.next


def test_when_one_cannot_be_bound_none_stays_open() -> None:
    port = sockets.free_tcp_port()
    specs = [ListenerSpec("a", f"127.0.0.1:{port}"), ListenerSpec("b", "192.0.2.1:80")]
    with pytest.raises(ListenerRefused, match=r"has no address 192\.0\.2\.1"):
        sockets.take(specs, {})
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


def test_a_stale_socket_file_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    spec = ListenerSpec("http", f"unix:{tmp_path}/site.sock")
    first = sockets.bind(spec)
    with pytest.raises(ListenerRefused):
        sockets.bind(spec)
    first.close()
    sockets.bind(spec).close()


def test_given_descriptors_are_used_by_name_and_unwanted_ones_closed() -> None:
    given, unwanted = socket.socket(), socket.socket()
    given.bind(("127.0.0.1", 0))
    given.listen()
    port = given.getsockname()[1]
    fds = {"http": given.detach(), "old": unwanted.detach()}
    found = sockets.take([ListenerSpec("http", "127.0.0.1:1")], fds)
    assert found["http"].bound == f"127.0.0.1:{port}"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fds["old"])
    found["http"].close()


def test_descriptors_meant_for_another_process_are_not_taken() -> None:
    told = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}
    assert sockets.from_systemd(told) == {}


def test_systemd_is_told_what_it_asked_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000"})
        notifier.ready()
        notifier.reloading()
        notifier.watchdog()
        notifier.stopping()
        told = [systemd.recv(200).decode() for _ in range(4)]
    assert told[0] == "READY=1"
    assert told[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert told[2:] == ["WATCHDOG=1", "STOPPING=1"]
    assert notifier.watchdog_s == 2.0


def test_without_systemd_nothing_is_sent_and_nobody_is_waited_for(tmp_path: Path) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert Notifier({}).watchdog_s is None
