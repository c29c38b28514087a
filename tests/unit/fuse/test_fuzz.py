"""Whatever comes through the device, the loop goes on."""

import errno

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from djafs.fuse import wire
from djafs.fuse.wire import Opcode
from djafs.testing.fake_kernel import serving
from djafs.testing.memory_filesystem import MemoryFilesystem

# INIT may end the conversation (a kernel that is too old); everything else must not.
OPCODES = [opcode for opcode in Opcode if opcode is not Opcode.INIT]


def headed(opcode: int, nodeid: int, body: bytes) -> bytes:
    header = wire.REQUEST_HEADER.pack(40 + len(body), opcode, 1, nodeid, 0, 0, 0, 0, 0)
    return header + body


requests = st.builds(
    headed,
    st.sampled_from(OPCODES) | st.integers(100, (1 << 32) - 1),
    st.integers(0, 3),
    st.binary(max_size=200) | st.binary(max_size=16).map(lambda name: bytes(16) + name + b"\0b\0"),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(requests | st.binary(min_size=1, max_size=39), max_size=20))
def test_garbage_does_not_end_the_conversation(messages):
    with serving(MemoryFilesystem()) as kernel:
        for message in messages:
            kernel.send_raw(message)
        last = kernel.send(Opcode.ACCESS, bytes(8))
        while (answer := kernel.receive()).unique != last:
            assert answer.unique == 1
        assert answer.error == errno.ENOSYS
