"""Recovery data of archives, made and used by the program ``par2``.

The format is "Recovery data" in docs/formats/archive.md, the order of steps in docs/ordering.md.
The archive itself is only read here. ``par2`` writes into a directory of its own, which goes in the
end; what a crash leaves of it goes at the next mount.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from djafs.disk import par2
from djafs.disk.host import Host, no_follow
from djafs.disk.layout import Layout
from djafs.errors import ArchiveDamageError, ParityError

MOST_BLOCKS = 1000
"""Blocks of an archive, at most."""

PAGE = 4096
"""Bytes that disks and filesystems lose at one go, at least: blocks are multiples of it."""

MEMORY = 64
"""MiB that par2 may use for its blocks; it reads the archive several times where that is less."""

_STEP = 1 << 20
_NOT_ENOUGH = (1, 2, 4)  # exit statuses of par2: damage that it cannot repair


def blocks_of(size: int, percent: int) -> tuple[int, int]:
    """Return block size in bytes and number of recovery blocks for an archive of ``size`` bytes.

    One recovery block is more than the share: what is lost in one piece touches one block more
    than fit into it.
    """
    block = PAGE * max(ceil(size / (PAGE * MOST_BLOCKS)), 1)
    return block, ceil(ceil(size / block) * percent / 100) + 1


def program() -> str:
    """Return the path of ``par2`` (raises ParityError if there is none)."""
    found = shutil.which("par2")
    if found is None:
        raise ParityError("recovery data needs the program par2: apt install par2")
    return found


def create(
    layout: Layout,
    number: int,
    percent: int,
    sha256: str,
    *,
    host: Host | None = None,
    workspace: str | None = None,
    threads: int = 0,
) -> int:
    """Make the recovery data of an archive, durable and under its name; return its size in bytes.

    What was there under the name is replaced. For the arguments and errors see :func:`draft`.
    """
    host = host or Host()
    target = layout.archive_parity(number)
    into = target + ".tmp"
    draft(layout, number, percent, sha256, into, host=host, workspace=workspace, threads=threads)
    try:
        host.rename(into, target, "parity.rename")
    except OSError:
        host.unlink(into, "parity.unlink")
        raise
    host.sync_directory(layout.archives, "parity.sync-directory")
    return os.path.getsize(target)


def draft(
    layout: Layout,
    number: int,
    percent: int,
    sha256: str,
    into: str,
    *,
    source: str | None = None,
    host: Host | None = None,
    workspace: str | None = None,
    threads: int = 0,
) -> None:
    """Make the recovery data of an archive as file ``into``, durable and read back.

    ``percent`` is 1 to 100, ``sha256`` that of the archive as it was written, in hexadecimal.
    ``source`` is where the archive lies if not under its name. ``workspace`` is an empty directory
    in the store, which the caller removes; without it one is made, and removed. ``threads`` are
    those of par2, 0 as many as there are processors. Raises ArchiveDamageError if the archive is
    not what was written, ParityError if it cannot be made, OSError; then there is no ``into``.
    """
    host = host or Host()
    source, name = source or layout.archive(number), os.path.basename(layout.archive(number))
    digest = _verified(source, sha256)
    block, count = blocks_of(os.path.getsize(source), percent)
    with _own(layout, workspace) as directory:
        archive, made = os.path.join(directory, name), os.path.join(directory, "made")
        os.symlink(source, archive)
        options = ["-n1", f"-s{block}", f"-c{count}", f"-B{directory}", f"-a{made}"]
        status, said = _run(["create", *options], [archive], threads)
        volumes = [found for found in os.listdir(directory) if ".vol" in found]
        if status or len(volumes) != 1:
            raise ParityError(f"par2 could not make recovery data of {source}: {said}")
        host.rename(os.path.join(directory, volumes[0]), into, "parity.draft")
        try:
            _finish(host, into, f"{made}.par2")
            _read_back(into, name, digest, count)
        except BaseException:
            host.unlink(into, "parity.unlink")
            raise


def check(layout: Layout, number: int, *, whole: bool) -> list[str]:
    """Say what is wrong with the recovery data of an archive, which is there.

    With ``whole`` the archive is known to be what was written, and is compared with what the
    recovery data says of it. Raises OSError if it cannot be read.
    """
    found = par2.scan(layout.archive_parity(number))
    archive = layout.archive(number)
    said = found.described
    if said is None:
        return found.problems
    if said.name != os.fsencode(os.path.basename(archive)):
        found.problems.append(f"it is for a file named {said.name!r}")
    elif whole:
        with open(archive, "rb", opener=no_follow) as file:
            beginning = hashlib.md5(file.read(par2.BEGINNING), usedforsecurity=False)
            size = os.fstat(file.fileno()).st_size
        if (size, beginning.digest()) != (said.size, said.beginning):
            found.problems.append("it is for another archive")
    return found.problems


def percent_of(layout: Layout, number: int) -> int | None:
    """Return the percentage that the recovery data of an archive has, as far as it is whole.

    None if it does not say which archive it is for. Raises OSError.
    """
    found = par2.scan(layout.archive_parity(number))
    if found.described is None:
        return None
    return min(max(ceil(100 * (found.recovery - 1) / found.described.blocks), 1), 100)


def repair(
    layout: Layout, number: int, into: str, size: int | None, *, host: Host | None = None
) -> bool:
    """Write the right bytes of a damaged archive to ``into``, if its recovery data is enough.

    Return whether it was; then ``into`` is durable and has the MD5 that the recovery data says. The
    caller compares the SHA-256 with what the store says. The archive may be missing, and is left
    as it is. ``size`` is what it had according to the log, None if that is not known. Raises
    ParityError if there is no par2, OSError.
    """
    host = host or Host()
    archive, data = layout.archive(number), layout.archive_parity(number)
    name = os.path.basename(archive)
    try:
        said = par2.scan(data).described
    except FileNotFoundError:
        return False
    # par2 writes what the file says under the name that it says.
    if said is None or said.name != os.fsencode(name) or said.size != (size or said.size):
        return False
    with _own(layout, None) as directory:
        os.symlink(data, os.path.join(directory, "data.par2"))
        damaged = os.path.join(directory, "damaged")
        os.symlink(archive, damaged)
        is_there = os.path.isfile(archive) and not os.path.islink(archive)
        files = [os.path.join(directory, "data.par2"), *[damaged] * is_there]
        status, last = _run(["repair", f"-B{directory}"], files, 0)
        if status in _NOT_ENOUGH:
            return False
        if status:
            raise ParityError(f"par2 could not repair {archive}: {last}")
        repaired = os.path.join(directory, name)
        if os.path.islink(repaired):  # the archive is whole: par2 has only renamed the link to it
            os.unlink(repaired)
            shutil.copyfile(archive, repaired)
        _sync(host, repaired)
        if _digests(repaired)[1] != said.digest:
            return False
        host.rename(repaired, into, "parity.rename-repaired")
    return True


@contextmanager
def _own(layout: Layout, workspace: str | None) -> Iterator[str]:
    """Give an empty directory in the store, and remove it unless it is the caller's."""
    directory = workspace or layout.parity_workspace()
    try:
        yield directory
    finally:
        if workspace is None:
            shutil.rmtree(directory, ignore_errors=True)


def _run(command: list[str], files: list[str], threads: int) -> tuple[int, str]:
    """Run par2; return its exit status and the last line that it said."""
    some = [f"-t{threads}"] if threads else []
    # par2 ends with the thread that started it, as the packer does.
    leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    verb, *options = command
    done = subprocess.run(
        [*leash, program(), verb, "-q", "-q", f"-m{MEMORY}", *some, *options, "--", *files],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Threads of OpenMP spin while they wait, which on a busy machine took 25 times as long.
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        umask=0o077,
        check=False,
    )
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    return done.returncode, lines[-1] if lines else f"it ended with status {done.returncode}"


def _finish(host: Host, path: str, index: str) -> None:
    """Put the index file behind the recovery blocks, and make the draft durable."""
    with open(index, "rb") as file:
        packets = file.read()
    descriptor = host.open(path, os.O_WRONLY, "parity.open")
    try:
        end = os.fstat(descriptor).st_size
        host.pwrite(descriptor, packets, end, "parity.write")
        host.sync(descriptor, "parity.sync")
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # it is read back from the disk
    finally:
        host.close(descriptor)


def _sync(host: Host, path: str) -> None:
    descriptor = host.open(path, os.O_RDWR, "parity.open-repaired")
    try:
        os.fchmod(descriptor, 0o600)
        host.sync(descriptor, "parity.sync-repaired")
    finally:
        host.close(descriptor)


def _read_back(path: str, name: str, digest: bytes, count: int) -> None:
    found = par2.scan(path)
    said = found.described
    if said is None or (found.problems, said.name, said.digest, found.recovery) != (
        [], os.fsencode(name), digest, count,
    ):  # fmt: skip
        raise ParityError(f"recovery data in {path} does not read back as it was written")


def _verified(archive: str, sha256: str) -> bytes:
    """Return the MD5 of an archive whose SHA-256 is right (raises ArchiveDamageError)."""
    try:
        found, digest = _digests(archive)
    except FileNotFoundError:
        raise ArchiveDamageError(f"archive {archive} is missing") from None
    if found != sha256:
        raise ArchiveDamageError(f"archive {archive} is damaged: it is not what was written")
    return digest


def _digests(path: str) -> tuple[str, bytes]:
    """Return the SHA-256 of a file in hexadecimal, and its MD5."""
    sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with open(path, "rb", opener=no_follow) as file:
        while piece := file.read(_STEP):
            sha.update(piece)
            md5.update(piece)
    return sha.hexdigest(), md5.digest()
