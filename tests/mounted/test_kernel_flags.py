"""``djafs mount -o``: device nodes that open, set-user-ID that counts, programs that do not run."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess

import pytest

from conftest import MountStore
from rig.unprivileged import NOBODY, let_others_reach

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")


def test_devices_and_set_user_id_are_off_unless_asked_for(mount_store: MountStore):
    mounted = mount_store("--settle=0", "--gc-interval=86400")
    null, program = mounted.live / "null", mounted.live / "id"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    shutil.copy(shutil.which("id") or "", program)
    os.chmod(program, 0o4755)
    let_others_reach(mounted.mountpoint.parent)

    def outcomes() -> tuple[bool, int]:
        try:
            os.close(os.open(null, os.O_WRONLY))
            opens = True
        except PermissionError:
            opens = False
        shown = subprocess.run([program, "-u"], user=NOBODY, capture_output=True, check=True)
        return opens, int(shown.stdout)

    assert outcomes() == (False, NOBODY)
    mounted.remount("-o", "dev,suid")
    assert outcomes() == (True, 0)
    mounted.gc()
    mounted.remount("-o", "dev")
    assert outcomes() == (True, NOBODY)
    mounted.remount("-o", "noexec")
    with pytest.raises(PermissionError):
        outcomes()
