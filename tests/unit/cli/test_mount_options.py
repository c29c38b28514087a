"""What djafs mount makes of its arguments, and how it hands them on to the daemon."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from djafs.cli.main import main
from djafs.mounting import launch
from djafs.mounting.options import MountOptions


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, MountOptions]]:
    """What was started, and with what, in place of starting it."""
    calls: list[tuple[str, MountOptions]] = []
    monkeypatch.setattr(launch, "start", lambda options: calls.append(("background", options)))
    monkeypatch.setattr(
        launch,
        "serve_in_foreground",
        lambda options, ready: calls.append(("foreground", options)),
    )
    return calls


def test_defaults(launched, tmp_path: Path):
    assert main(["mount", f"{tmp_path}/store", f"{tmp_path}/mnt"]) == 0
    expected = MountOptions(f"{tmp_path}/store", f"{tmp_path}/mnt", allow_other=os.geteuid() == 0)
    assert launched == [("background", expected)]


def test_paths_are_made_absolute_and_free_of_links(launched, tmp_path: Path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert main(["mount", "--log-file=log", "link/store", "link"]) == 0
    ((_, options),) = launched
    assert options.storage == f"{tmp_path}/real/store"
    assert options.mountpoint == f"{tmp_path}/real"
    assert options.log_file == f"{tmp_path}/log"


@pytest.mark.parametrize(
    "options",
    [
        MountOptions("/s", "/m"),
        MountOptions("/s p/ä", "/-m\n\udcff", allow_other=True),
        MountOptions("/s", "/m", 0.5, 1 << 30, 0.0, 19, log_file="/-l", time_zone="Europe/Berlin"),
        MountOptions("/-s", "/-m", gc_interval=1e9, settle=0.1, durable_close=True),
        MountOptions("/s", "/m", kernel_flags=("nodev", "noexec")),
        MountOptions("/s", "/m", parity=100),
        MountOptions("/s", "/m", parity=0),
    ],
)
def test_the_daemon_is_handed_the_same_options(launched, options):
    assert main(["mount", *options.arguments()]) == 0
    assert launched == [("foreground", replace(options, foreground=True))]


def test_of_two_kernel_flags_that_contradict_each_other_the_last_counts(launched):
    assert main(["mount", "-o", "exec,nodev", "-o", "noexec", "/s", "/m"]) == 0
    assert launched[0][1].kernel_flags == ("noexec", "nodev")


@pytest.mark.parametrize("given", ["devs", "", "dev,", "ro", "allow_other"])
def test_other_kernel_flags_are_refused(launched, capsys, given: str):
    assert main(["mount", "-o", given, "/s", "/m"]) == 16
    assert "is none of dev, nodev, suid, nosuid, exec, noexec" in capsys.readouterr().err


def test_only_root_may_ask_for_devices(launched, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["mount", "-o", "nosuid,dev", "/s", "/m"]) == 16
    assert "only root may mount with 'dev'" in capsys.readouterr().err
    assert not launched


@pytest.mark.parametrize(("given", "percent"), [("1", 1), ("100", 100), ("off", 0)])
def test_parity_is_a_percentage_or_off(launched, given: str, percent: int):
    assert main(["mount", f"--parity={given}", "/s", "/m"]) == 0
    assert launched[0][1].parity == percent


@pytest.mark.parametrize("given", ["0", "101", "-1", "ten", "10%", "", "1.5", "٣"])
def test_other_percentages_are_refused(launched, capsys, given: str):
    assert main(["mount", f"--parity={given}", "/s", "/m"]) == 16
    assert "is not a percentage from 1 to 100, or off" in capsys.readouterr().err
    assert not launched
