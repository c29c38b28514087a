"""INIT with kernels of several ages."""

import struct
from typing import NamedTuple

import pytest

from djafs.fuse import DEFAULT_FLAGS, Config, Handler, InitFlag
from djafs.fuse.wire import Opcode
from djafs.testing.fake_kernel import EVERY_FLAG, serving


class InitOut(NamedTuple):
    major: int
    minor: int
    max_readahead: int
    flags: int
    max_background: int
    congestion_threshold: int
    max_write: int
    time_granularity: int
    max_pages: int
    map_alignment: int
    flags2: int
    max_stack_depth: int
    request_timeout: int


def init_out(body: bytes) -> InitOut:
    return InitOut(*struct.unpack("=IIIIHHIIHHIIH22x", body))


def negotiate(config: Config | None = None, **offer):
    with serving(Handler(), config, init=False) as kernel:
        answer = kernel.init(**offer)
        assert answer.error == 0
    return init_out(answer.body), kernel.server.info


def test_a_kernel_of_today():
    out, info = negotiate()
    assert out == InitOut(
        major=7,
        minor=45,
        max_readahead=1 << 17,
        flags=int(DEFAULT_FLAGS) & 0xFFFFFFFF,
        max_background=64,
        congestion_threshold=48,
        max_write=1 << 20,
        time_granularity=1,
        max_pages=256,
        map_alignment=0,
        flags2=int(DEFAULT_FLAGS) >> 32,
        max_stack_depth=0,
        request_timeout=0,
    )
    assert info.flags == DEFAULT_FLAGS
    assert info.offered == EVERY_FLAG


def test_a_kernel_of_tomorrow():
    out, info = negotiate(minor=99)
    assert (out.minor, info.minor) == (45, 45)


def test_linux_5_4():
    offered = (1 << 26) - 1  # up to FUSE_EXPLICIT_INVAL_DATA
    out, info = negotiate(minor=31, offered=offered)
    assert (out.minor, out.flags2) == (31, 0)
    assert info.flags == int(DEFAULT_FLAGS) & offered
    assert not info.flags & InitFlag.SETXATTR_EXT


def test_flags_beyond_32_bits_need_the_extension():
    config = Config(flags=InitFlag.DIRECT_IO_ALLOW_MMAP)
    out, info = negotiate(config)
    assert (out.flags, out.flags2, info.flags) == (0, 0, 0)


def test_a_kernel_that_takes_32_pages():
    out, info = negotiate(offered=EVERY_FLAG & ~InitFlag.MAX_PAGES)
    assert (out.max_write, out.max_pages) == (1 << 17, 0)
    assert info.max_write == 1 << 17


def test_a_kernel_of_another_major_version_asks_again():
    with serving(Handler(), init=False) as kernel:
        assert init_out(kernel.init(major=8, minor=0).body).major == 7
        assert kernel.server.info is None
        assert init_out(kernel.init().body).max_write == 1 << 20
        assert kernel.server.info is not None


def test_readahead_is_the_smaller_of_both():
    assert negotiate(Config(max_readahead=4096))[1].max_readahead == 4096
    assert negotiate(Config(max_readahead=1 << 20))[1].max_readahead == 1 << 17


@pytest.mark.parametrize(
    ("offered", "body", "flags"),
    [
        (EVERY_FLAG, struct.pack("=IIII", 1, 2, 1, 0) + b"n\0v", 1),
        (EVERY_FLAG & ~InitFlag.SETXATTR_EXT, struct.pack("=II", 1, 2) + b"n\0v", 0),
    ],
)
def test_both_forms_of_setxattr(offered, body, flags):
    class Setting(Handler):
        def setxattr(self, request, *arguments):
            called.append(arguments)

    called = []
    with serving(Setting(), init=False) as kernel:
        kernel.init(offered=offered)
        assert kernel.call(Opcode.SETXATTR, body).error == 0
    assert called == [(b"n", b"v", 2, flags)]


@pytest.mark.parametrize(
    "flag",
    [
        InitFlag.ATOMIC_O_TRUNC,
        InitFlag.POSIX_LOCKS,
        InitFlag.FLOCK_LOCKS,
        InitFlag.AUTO_INVAL_DATA,
        InitFlag.WRITEBACK_CACHE,
    ],
)
def test_what_the_layer_does_not_serve_is_not_negotiated(flag):
    with pytest.raises(ValueError, match=flag.name):
        Config(flags=DEFAULT_FLAGS | flag)
    assert not DEFAULT_FLAGS & flag


@pytest.mark.parametrize(
    "wrong", [{"max_write": 100}, {"max_write": 5000}, {"deferred_threads": 0}]
)
def test_a_config_that_makes_no_sense(wrong):
    with pytest.raises(ValueError):
        Config(**wrong)


def test_a_smaller_write_is_a_smaller_buffer():
    with serving(Handler(), Config(max_write=1 << 17), init=False) as kernel:
        assert init_out(kernel.init().body).max_pages == 32
        assert len(kernel.server._buffer) == (1 << 17) + 4096


def test_there_is_always_room_for_an_extended_attribute():
    with serving(Handler(), Config(max_write=4096)) as kernel:
        assert len(kernel.server._buffer) == (1 << 16) + 4096
