"""What the benchmark compiles and installs for itself, all below ``benchmarks/build``.

The client, libfuse's example ``passthrough_ll`` from the source that Debian and Ubuntu install
with ``libfuse3-dev``, and a virtual environment with pyfuse3. What cannot be built raises
:class:`UnavailableError`: that peer is then left out, and the report says why.
"""

from __future__ import annotations

import compileall
import gzip
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
EXAMPLES = "usr/share/doc/libfuse3-dev/examples"

HASHED_INODES = (
    # passthrough_ll finds an inode by walking one list of all that it knows: fine for an example,
    # quadratic for a tree. These edits give it 64 Ki lists instead, by inode number.
    (
        "static struct lo_inode *lo_find(",
        """static struct lo_inode buckets[1 << 16];

static struct lo_inode *bucket(ino_t ino)
{
	struct lo_inode *head = &buckets[ino & 0xffff];

	if (!head->next)
		head->next = head->prev = head;
	return head;
}

static struct lo_inode *lo_find(""",
    ),
    (
        "for (p = lo->root.next; p != &lo->root; p = p->next) {",
        "for (p = bucket(st->st_ino)->next; p != bucket(st->st_ino); p = p->next) {",
    ),
    ("prev = &lo->root;", "prev = bucket(e->attr.st_ino);"),
)
"""Edits to passthrough_ll.c, each of which must fit exactly once."""


class UnavailableError(Exception):
    """Something that the benchmark would like to measure is not to be had here."""


def run(*command: str | Path) -> str:
    """Run a command to its end, return what it printed; :class:`UnavailableError` if it fails."""
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, check=True
        )
    except OSError as error:
        raise UnavailableError(f"{command[0]}: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout or "").strip().splitlines()[-1:]
        raise UnavailableError(f"{Path(command[0]).name} failed: {' '.join(last)}") from None
    return done.stdout


def newer(target: Path, *sources: Path) -> bool:
    """Whether *target* is there and no older than any of *sources*."""
    if not target.exists():
        return False
    made = target.stat().st_mtime
    return all(source.stat().st_mtime <= made for source in sources)


def client() -> Path:
    """Compile the client."""
    return compiled("client")


def reader() -> Path:
    """Compile the program that reads trees and large files."""
    return compiled("reader")


def compiled(name: str) -> Path:
    """Compile one of our own programs if it has changed."""
    BUILD.mkdir(exist_ok=True)
    source, target = HERE / f"{name}.c", BUILD / name
    if not newer(target, source, HERE / "clock.h"):
        run("gcc", "-O2", "-Wall", "-o", target, source)
    return target


def example_source(name: str) -> str:
    """Return one of libfuse's example sources as the distribution ships it."""
    installed = Path("/") / EXAMPLES
    unpacked = BUILD / "libfuse3-dev"
    if not any(installed.glob(f"{name}*")) and not any((unpacked / EXAMPLES).glob(f"{name}*")):
        # Slim images leave /usr/share/doc out when they install a package: unpack it once more.
        unpacked.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                ["apt-get", "download", "libfuse3-dev"],
                cwd=unpacked, check=True, capture_output=True,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            raise UnavailableError(f"no {name} in /{EXAMPLES}: install libfuse3-dev") from None
        for package in unpacked.glob("*.deb"):
            run("dpkg-deb", "-x", package, unpacked)
    for place in (installed, unpacked / EXAMPLES):
        for path in sorted(place.glob(f"{name}*")):
            content = path.read_bytes()
            return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    raise UnavailableError(f"no {name} in /{EXAMPLES}: install libfuse3-dev")


def passthrough_ll(hashed: bool = False) -> Path:
    """Compile ``passthrough_ll``; *hashed* is a variant that finds inodes in a hash table."""
    where = BUILD / ("passthrough_ll_hashed" if hashed else "passthrough_ll")
    where.mkdir(parents=True, exist_ok=True)
    source, target = where / "passthrough_ll.c", where / "passthrough_ll"
    if target.exists():
        return target
    text = example_source("passthrough_ll.c")
    for old, new in HASHED_INODES if hashed else ():
        if text.count(old) != 1:
            raise UnavailableError("this libfuse's passthrough_ll.c is not the one the edits fit")
        text = text.replace(old, new)
    source.write_text(text)
    (where / "passthrough_helpers.h").write_text(example_source("passthrough_helpers.h"))
    flags = run("pkg-config", "fuse3", "--cflags", "--libs").split()
    run("gcc", "-O2", "-o", target, source, *flags)
    return target


def pyfuse3_python() -> Path:
    """Make a virtual environment with pyfuse3, on the Python that runs djafs and this."""
    return python_with("pyfuse3", "pyfuse3")


def ratarmount() -> Path:
    """Install ratarmount in a virtual environment of its own."""
    return python_with("ratarmount", "ratarmount").parent / "ratarmount"


def ratarmount_version() -> str:
    return run(ratarmount(), "--version").splitlines()[0]


def python_with(package: str, module: str) -> Path:
    """Make a virtual environment with a package from PyPI; return its Python."""
    python = BUILD / f"{package}-venv" / "bin" / "python"
    if not (python.exists() and _imports(python, module)):
        shutil.rmtree(python.parent.parent, ignore_errors=True)
        run(sys.executable, "-m", "venv", python.parent.parent)
        run(python, "-m", "pip", "install", "--quiet", package)
    return python


def may_mount() -> None:
    """Raise :class:`UnavailableError` unless loop devices may be mounted."""
    if os.geteuid() != 0:
        raise UnavailableError("only root may mount it")
    program("mkfs.btrfs")


def _imports(python: Path, module: str) -> bool:
    done = subprocess.run([str(python), "-c", f"import {module}"], capture_output=True, check=False)
    return done.returncode == 0


def pyfuse3_versions() -> str:
    """Say which Python, pyfuse3 and trio the pyfuse3 peer runs on."""
    code = (
        "import platform, importlib.metadata as m;"
        "print('Python', platform.python_version(),"
        " *('· ' + n + ' ' + m.version(n) for n in ('pyfuse3', 'trio')))"
    )
    return run(pyfuse3_python(), "-c", code).strip()


def program(name: str) -> Path:
    """Find a program on the PATH."""
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(f"{name} is not installed")
    return Path(found)


def djafs() -> Path:
    """Find ``djafs``: beside the Python that runs this, else in the repository's ``.venv``."""
    for place in (Path(sys.executable).parent, HERE.parent / ".venv" / "bin"):
        if (place / "djafs").exists():
            return place / "djafs"
    return program("djafs")


def compile_djafs() -> None:
    """Have the modules of djafs compiled, as an installation has them.

    Where the environment forbids Python to do so by itself, each start would compile all of them.
    """
    found = importlib.util.find_spec("djafs")
    if found is not None and found.origin is not None:
        compileall.compile_dir(Path(found.origin).parent, quiet=1)
