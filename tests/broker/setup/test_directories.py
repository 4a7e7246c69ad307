"""The directories Postern keeps for itself."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from broker.errors import PosternError
from broker.setup.directories import make_private


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(PosternError, match="var"):
        make_private(tmp_path / "var")
    with pytest.raises(PosternError, match="cannot be used: not a directory"):
        make_private(tmp_path / "var" / "deeper")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    os.chown(tmp_path / "var", 65534, 65534)
    with pytest.raises(PosternError, match="belongs to another user"):
        make_private(tmp_path / "var")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can plant a link for another user")
def test_a_link_planted_by_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "target")
    os.chown(tmp_path / "var", 65534, 65534, follow_symlinks=False)
    with pytest.raises(PosternError, match="is not a directory"):
        make_private(tmp_path / "var")


def test_a_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    made = make_private(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_directory_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir(mode=0o755)
    assert stat.S_IMODE(make_private(tmp_path / "var").stat().st_mode) == 0o700
