"""Notices when a module of the user's stands before one of our packages."""

import subprocess
import sys
from pathlib import Path

import trunkline
from trunkline.shadowing import shadowed_packages, shadowing_message

HOME = Path(trunkline.__file__).resolve().parent.parent


def make_package(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    return folder / name


def test_nothing_is_shadowed_where_only_ours_are(tmp_path: Path) -> None:
    make_package(tmp_path, "tools")

    assert shadowed_packages([tmp_path, HOME]) == []


def test_a_package_of_the_users_that_comes_first_shadows_ours(tmp_path: Path) -> None:
    theirs = make_package(tmp_path, "workers")

    assert shadowed_packages([tmp_path, HOME]) == [("workers", HOME / "workers", theirs)]


def test_a_single_file_shadows_too(tmp_path: Path) -> None:
    (tmp_path / "schemas.py").touch()

    assert shadowed_packages([tmp_path, HOME]) == [("schemas", HOME / "schemas", tmp_path / "schemas.py")]


def test_one_that_comes_after_ours_shadows_nothing(tmp_path: Path) -> None:
    make_package(tmp_path, "workers")

    assert shadowed_packages([HOME, tmp_path]) == []


def test_only_what_python_would_import_counts(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "job.json").touch()
    (tmp_path / "ledger.txt").touch()

    assert shadowed_packages([tmp_path / "is not there", tmp_path, HOME]) == []


def test_of_two_the_first_is_named(tmp_path: Path) -> None:
    first = make_package(tmp_path / "a", "ledger")
    make_package(tmp_path / "b", "ledger")

    assert [theirs for _, _, theirs in shadowed_packages([tmp_path / "a", tmp_path / "b"])] == [first]


def test_our_own_folder_reached_by_another_path_is_ours(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(HOME)

    assert shadowed_packages([link]) == []


def test_the_message_names_both_paths_and_a_way_out(tmp_path: Path) -> None:
    theirs = make_package(tmp_path, "workers")

    message = shadowing_message(shadowed_packages([tmp_path]))
    assert f"workers: {theirs} hides Trunkline's own {HOME / 'workers'}" in message
    assert "Rename" in message


def test_what_it_says_is_what_python_does(tmp_path: Path) -> None:
    theirs = make_package(tmp_path, "schemas")

    ended = subprocess.run(
        [sys.executable, "-c", "import schemas; print(schemas.__file__)"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert Path(ended.stdout.strip()).parent == theirs
    assert shadowed_packages([tmp_path, HOME])[0].theirs == theirs
