"""Room kept back on the disk, so that a full one can still be worked off.

Place:  bus.hub.groups -> [bus.hub.ballast]
Rule:   while the ballast is out, nothing is accepted; it is back before anything is.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE = "bus.ballast"


class Ballast:
    """A file of `size_bytes` that is given up when the disk is full."""

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._path = directory / FILE
        self.size_bytes = size_bytes

    def take_back(self) -> bool:
        """Have the room again; tell whether there was enough. Does nothing when it is there."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            there = os.fstat(handle).st_blocks * 512 >= self.size_bytes
            if not there:
                os.posix_fallocate(handle, 0, self.size_bytes)
                # The log needs room too; accepting a few only to be full again helps nobody.
                there = self._free_bytes(handle) >= self.size_bytes // 2
        except OSError:
            there = False
        if not there:
            # What was allocated would be missing for finishing work.
            os.ftruncate(handle, 0)
        os.close(handle)
        return there

    def _free_bytes(self, handle: int) -> int:
        disk = os.fstatvfs(handle)
        return disk.f_bavail * disk.f_frsize

    def give_up(self) -> None:
        """Give the room to the database; a second call does nothing."""
        try:
            os.truncate(self._path, 0)
        except OSError:
            return
