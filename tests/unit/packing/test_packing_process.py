"""The packer as a process: its answer, its death, and that of its parent."""

import errno
import io
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from djafs.disk.layout import Layout
from djafs.errors import IndexDamageError, PackingError
from djafs.packing import wire, worker
from djafs.packing.packer import Packer, PackingCancelledError
from djafs.packing.plan import PackPlan


def plan_of(store, count: int = 5, **options) -> PackPlan:
    items = [store.item(key, b"document %d" % key * 20) for key in range(count)]
    return PackPlan(1, items, find_known=False, **options)


def test_a_plan_is_packed_in_another_process(store):
    packer = Packer(store.layout)
    result = packer.run(plan_of(store))
    assert [packed.key for packed in result.items] == list(range(5))
    assert result.metadata is not None
    assert result.metadata.members == 5
    assert store.archive_names() == ["00000001.tar.zst.tmp"]
    again = packer.run(plan_of(store), cancelled=lambda: False)
    assert [packed.at for packed in again.items] == [packed.at for packed in result.items]


def fake(tmp_path: Path, body: str) -> list[str]:
    """Return the command of a packer that does something else."""
    script = tmp_path / "fake_packer.py"
    script.write_text(f"import os, sys, signal\nfrom djafs.packing import wire\n{body}\n")
    return [sys.executable, str(script)]


WRITE_DRAFT = """
begin, plan = wire.read_plan(sys.stdin.buffer.read)
from djafs.disk.layout import Layout
open(Layout(begin.root).archive_draft(begin.archive), "w").close()
"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", r"^the packer was killed by SIGKILL$"),
        (WRITE_DRAFT + "os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        (WRITE_DRAFT + "sys.exit(3)", r"^the packer ended with status 3 without a result$"),
        ("sys.exit('no module named x')", "status 1 without a result: no module named x"),
        ("os.write(1, b'hello ' * 10)", "ended with status 0"),
        (
            WRITE_DRAFT + "os.write(1, wire.encode('error', 'disk on fire', 5))",
            r"^packing failed: disk on fire$",
        ),
    ],
)
def test_a_packer_without_a_result_is_one_clear_line(store, tmp_path, body: str, message: str):
    packer = Packer(store.layout, command=fake(tmp_path, body))
    with pytest.raises(PackingError, match=message) as caught:
        packer.run(plan_of(store))
    assert "\n" not in str(caught.value)
    assert store.archive_names() == []


def test_a_packer_that_ends_early_while_the_plan_is_sent_is_reported(store, tmp_path):
    item = store.item(1, b"x")
    plan = PackPlan(1, (item._replace(key=key) for key in range(100_000)), find_known=False)
    packer = Packer(store.layout, command=fake(tmp_path, "sys.exit(7)"))
    with pytest.raises(PackingError, match="status 7"):
        packer.run(plan)


def test_the_errno_of_the_packer_becomes_that_of_the_error(store, tmp_path):
    body = f"os.write(1, wire.encode('error', 'No space left on device', {errno.ENOSPC}))"
    with pytest.raises(PackingError) as caught:
        Packer(store.layout, command=fake(tmp_path, body)).run(plan_of(store))
    assert caught.value.errno == errno.ENOSPC


def test_a_packer_that_cannot_be_started_is_reported(store):
    with pytest.raises(PackingError, match="cannot be started: No such file"):
        Packer(store.layout, command=["/nonexistent/packer"]).run(plan_of(store))


STUCK = WRITE_DRAFT + "signal.pause()"


def test_a_run_can_be_cancelled_while_it_waits(store, tmp_path):
    packer = Packer(store.layout, command=fake(tmp_path, STUCK))

    def cancelled() -> bool:
        return store.archive_names() != []  # the packer has begun, and will not answer

    with pytest.raises(PackingCancelledError, match="cancelled"):
        packer.run(plan_of(store), cancelled)
    assert store.archive_names() == []


def test_a_run_can_be_cancelled_while_the_plan_is_sent(store, tmp_path):
    packer = Packer(store.layout, command=fake(tmp_path, STUCK))
    with pytest.raises(PackingCancelledError):
        packer.run(plan_of(store), cancelled=lambda: True)


def test_another_thread_can_kill_a_run_and_all_later_ones(store, tmp_path):
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    packer = Packer(
        store.layout,
        command=fake(tmp_path, WRITE_DRAFT + f"open({str(begun)!r}, 'w').close()\nsignal.pause()"),
    )
    errors: list[PackingError] = []

    def run() -> None:
        try:
            packer.run(plan_of(store))
        except PackingError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    begun.read_bytes()  # returns when the packer has opened and closed it
    packer.kill()
    thread.join(30)
    assert [type(error) for error in errors] == [PackingCancelledError]
    assert store.archive_names() == []
    with pytest.raises(PackingCancelledError):
        packer.run(plan_of(store))


def test_the_packer_shows_its_name_and_runs_at_low_priority(store):
    process = subprocess.Popen(
        [sys.executable, "-m", "djafs.packing.worker", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        begin = wire.Begin(store.layout.root, 1, 1, False, 0, os.getpid())
        items = wire.encode("items", [store.item(key, b"%d" % key) for key in range(3)])
        process.stdin.write(wire.encode("begin", begin) + items)
        process.stdin.flush()
        wait_for(lambda: bool(store.archive_names()), process)
        status = Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0")
        niceness = os.getpriority(os.PRIO_PROCESS, process.pid)
        process.stdin.write(wire.encode("end"))
        process.stdin.close()
        result = wire.read_result(process.stdout.read)
    assert status == b"djafs-packer"
    assert niceness >= min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert len(result.items) == 3


def wait_for(event, process: subprocess.Popen[bytes]) -> None:
    """Wait until ``event`` has happened, as long as the process lives."""
    descriptor = os.pidfd_open(process.pid)
    try:
        while not event():
            ended, _, _ = select.select([descriptor], [], [], 0.005)
            assert not ended
    finally:
        os.close(descriptor)


PARENT = """
import subprocess, sys, os, time
process = subprocess.Popen(
    [sys.executable, "-m", "djafs.packing.worker", str(os.getpid())],
    stdin=int(sys.argv[1]), pass_fds=[int(sys.argv[1])],
)
print(process.pid, flush=True)
sys.stdin.read()
"""


def test_the_packer_ends_with_its_parent(store):
    """Even though its stdin stays open: here the test holds the other end of it."""
    source, sink = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[source],
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent, os.fdopen(sink, "wb", buffering=0) as plan:
        os.close(source)
        packer = int(parent.stdout.readline())
        descriptor = os.pidfd_open(packer)
        begin = wire.Begin(store.layout.root, 1, 1, False, 0, parent.pid)
        plan.write(wire.encode("begin", begin))
        plan.write(wire.encode("items", [store.item(1, b"abc")]))
        wait_for(lambda: bool(store.archive_names()), parent)  # it has begun
        parent.kill()
        ended, _, _ = select.select([descriptor], [], [], 30)
        assert ended
        os.close(descriptor)


def test_a_packer_whose_parent_is_gone_already_ends_at_once(store):
    done = subprocess.run(
        [sys.executable, "-m", "djafs.packing.worker", str(os.getppid())],
        input=b"",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")


def test_a_packer_started_by_hand_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "djafs.packing.worker"], capture_output=True, check=False
    )
    assert done.returncode == 16
    assert b"not by hand" in done.stderr


def serve(plan: PackPlan, layout: Layout, open_finder) -> tuple[int, io.BytesIO]:
    begin = wire.Begin(layout.root, plan.archive, plan.level, plan.find_known, 0, os.getpid())
    source = io.BytesIO(b"".join(wire.plan_messages(plan, begin)))
    target = io.BytesIO()
    status = worker.serve(source, target, open_finder)
    target.seek(0)
    return status, target


def test_known_contents_come_from_the_index(store):
    opened = []

    def open_finder(layout: Layout):
        opened.append(layout)
        return lambda digest: 42

    status, answer = serve(PackPlan(1, [store.item(1, b"x")]), store.layout, open_finder)
    assert status == 0
    assert wire.read_result(answer.read).items[0].content == 42
    assert opened == [store.layout]


def test_an_index_that_cannot_be_opened_is_reported(store):
    def open_finder(layout: Layout):
        raise IndexDamageError("the index is not usable")

    status, answer = serve(PackPlan(1, [store.item(1, b"x")]), store.layout, open_finder)
    assert status == 1
    with pytest.raises(wire.ReportedError, match=r"^the index is not usable$"):
        wire.read_result(answer.read)


def test_a_file_that_cannot_be_written_is_reported_by_name(store):
    os.rmdir(store.layout.archives)
    plan = PackPlan(1, [store.item(1, b"x")])
    status, answer = serve(plan, store.layout, lambda layout: lambda digest: None)
    assert status == 1
    with pytest.raises(wire.ReportedError, match=r"No such file.*: /.*tar\.zst\.tmp") as caught:
        wire.read_result(answer.read)
    assert caught.value.code == errno.ENOENT
