"""Where tools are found, and what is said when they are not."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

import workers.pools
from workers.errors import ToolDeclarationError, ToolLoadingError
from workers.registry import ToolRegistry, shipped_pools
from workers.tool import tool

WriteModule = Callable[[str, str], Path]

SEARCH = """
    from workers.tool import tool

    @tool(pool="places", version="{version}")
    def search(city: str) -> str:
        "Search a city."
        return city
"""


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WriteModule]:
    """Writes a module into an empty current folder. Imports and the search path are put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
        return file

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def load(*modules: str) -> ToolRegistry:
    return ToolRegistry.load(modules=modules, pools=None, installed=[])


def references(registry: ToolRegistry, pool: str) -> list[str]:
    return [found.reference for found in registry.for_pool(pool)]


# Modules


@pytest.mark.parametrize("name", ["my_tools", "my_tools.py", "./my_tools.py"])
def test_a_module_in_the_current_folder_is_found_by_name_and_by_path(write_module: WriteModule, name: str) -> None:
    write_module("my_tools.py", SEARCH.format(version="1.0.0"))

    registry = load(name)

    found = registry.get("search@1.0.0")
    assert found is not None
    assert found("Ulm") == "Ulm"
    assert references(registry, "places") == ["search@1.0.0"]
    assert "places" in registry.pools()
    assert registry.loaded_from("search@1.0.0") == f"module {name}"
    assert found.declared_at.startswith("my_tools.search (")


@pytest.mark.parametrize("name", ["acme.tools", "acme/tools.py", "acme"])
def test_a_module_of_a_package_is_the_same_by_name_and_by_path(write_module: WriteModule, name: str) -> None:
    write_module("acme/__init__.py", "from acme.tools import search")
    write_module("acme/names.py", "VERSION = '2.0.0'")
    write_module("acme/tools.py", "from .names import VERSION\n" + dedent(SEARCH.format(version="2.0.0")))

    registry = load(name, "acme.tools")

    assert references(registry, "places") == ["search@2.0.0"]


def test_a_file_elsewhere_can_import_its_neighbours(write_module: WriteModule, tmp_path: Path) -> None:
    write_module("far/away_tools.py", "import away_names\n" + dedent(SEARCH.format(version="1.0.0")))
    write_module("far/away_names.py", "")

    assert references(load(str(tmp_path / "far" / "away_tools.py")), "places") == ["search@1.0.0"]


def test_several_versions_and_pools_of_one_module_are_kept_apart(write_module: WriteModule) -> None:
    write_module("my_tools.py", SEARCH.format(version="1.0.0"))
    write_module(
        "more_tools.py",
        SEARCH.format(version="1.1.0") + "\n    other = tool(pool='other', name='other')(search.function)\n",
    )

    registry = load("my_tools", "more_tools")

    assert references(registry, "places") == ["search@1.0.0", "search@1.1.0"]
    assert references(registry, "other") == ["other@1.0.0"]
    assert registry.for_pool("nothing") == ()
    assert registry.get("search@9.9.9") is None


def test_two_tools_of_one_name_and_version_are_an_error_that_names_both_places(write_module: WriteModule) -> None:
    one = write_module("one.py", SEARCH.format(version="1.0.0"))
    two = write_module("two.py", SEARCH.format(version="1.0.0"))

    with pytest.raises(ToolLoadingError, match=r"Two tools are called search@1\.0\.0") as caught:
        load("one", "./two.py")

    assert f"one.search ({one}:4), loaded from module one" in str(caught.value)
    assert f"two.search ({two}:4), loaded from module ./two.py" in str(caught.value)


# Modules that cannot be loaded


def test_a_module_that_is_not_there_is_told_with_where_it_was_looked_for(
    write_module: WriteModule, tmp_path: Path
) -> None:
    with pytest.raises(ToolLoadingError, match="There is no module 'my_tols'") as caught:
        load("my_tols")
    assert f"\n  {tmp_path}" in str(caught.value)


def test_a_submodule_that_is_not_there_is_told_by_its_whole_name(write_module: WriteModule) -> None:
    write_module("acme/__init__.py", "")

    with pytest.raises(ToolLoadingError, match=r"There is no module 'acme\.tols'"):
        load("acme.tols")


def test_a_file_that_is_not_there_is_told_with_its_whole_path(write_module: WriteModule, tmp_path: Path) -> None:
    with pytest.raises(ToolLoadingError, match="does not exist") as caught:
        load("./my_tols.py")
    assert f"Looked for {tmp_path / 'my_tols.py'}; the current folder is {tmp_path}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("./folder/", "has no __init__.py"),
        ("./notes.txt", "no Python file"),
        ("my_tools:search", "no name of a module"),
    ],
)
def test_what_is_no_module_at_all_is_told_so(write_module: WriteModule, name: str, problem: str) -> None:
    write_module("folder/tools.py", "")
    write_module("notes.txt", "")

    with pytest.raises(ToolLoadingError, match=problem):
        load(name)


@pytest.mark.parametrize("name", ["json.py", "schemas.py", "sys.py"])
def test_a_file_named_like_another_module_is_not_mistaken_for_it(write_module: WriteModule, name: str) -> None:
    file = write_module(name, SEARCH.format(version="1.0.0"))

    with pytest.raises(ToolLoadingError, match="is that of another module") as caught:
        load(f"./{name}")
    assert f"Rename {file}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n1 / 0", "ZeroDivisionError: division by zero .*broken.py:2"),
        ("\n\nif", "SyntaxError: .*broken.py:3"),
        ("import not_installed", "ModuleNotFoundError: No module named 'not_installed' .*broken.py:1"),
        ("import sys; sys.exit(3)", "SystemExit: 3 .*broken.py:1"),
    ],
)
def test_a_module_that_fails_is_told_by_its_own_error(write_module: WriteModule, text: str, problem: str) -> None:
    write_module("broken.py", text)

    with pytest.raises(ToolLoadingError, match=f"broken cannot be imported: its own code raised {problem}") as caught:
        load("broken")
    assert caught.value.__cause__ is not None


def test_an_import_that_went_to_our_package_instead_of_the_users_is_explained(write_module: WriteModule) -> None:
    write_module("my_tools.py", "import workers.of_my_own")

    with pytest.raises(ToolLoadingError, match="'workers' is Trunkline's own package, at "):
        load("my_tools")


def test_a_wrong_declaration_is_told_as_that(write_module: WriteModule) -> None:
    write_module("my_tools.py", SEARCH.format(version="one"))

    with pytest.raises(ToolDeclarationError, match=r"my_tools\.search: the version 'one' is not allowed"):
        load("my_tools")


def test_a_module_without_a_tool_is_told_by_its_path(write_module: WriteModule) -> None:
    file = write_module("my_tools.py", "def search(city): ...")

    with pytest.raises(ToolLoadingError, match=r"has no tool\. Decorate") as caught:
        load("my_tools")
    assert str(file) in str(caught.value)


# Installed packages


def entry_point(value: str) -> EntryPoint:
    return EntryPoint(name="acme", value=value, group="trunkline.tools")


@pytest.mark.parametrize("value", ["acme_tools", "acme_tools:search"])
def test_installed_packages_bring_modules_or_single_tools(write_module: WriteModule, value: str) -> None:
    write_module("acme_tools.py", SEARCH.format(version="1.0.0"))
    sys.path.append(str(Path.cwd()))

    registry = ToolRegistry.load(pools=(), installed=[entry_point(value)])

    assert registry.pools() == ("places",)
    assert registry.loaded_from("search@1.0.0") == f"entry point acme = {value}"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("acme_tols", "There is no module 'acme_tols' for entry point acme = acme_tols"),
        ("acme_tools:serch", "entry point acme = acme_tools:serch cannot be imported: .*AttributeError"),
        ("acme_tools:CITY", "is neither a tool nor a module with tools"),
    ],
)
def test_an_entry_point_that_is_wrong_is_named(write_module: WriteModule, value: str, problem: str) -> None:
    write_module("acme_tools.py", SEARCH.format(version="1.0.0") + "\n    CITY = 'Ulm'\n")
    sys.path.append(str(Path.cwd()))

    with pytest.raises(ToolLoadingError, match=problem):
        ToolRegistry.load(pools=(), installed=[entry_point(value)])


# Shipped pools


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_module: WriteModule) -> Iterator[None]:
    """In place of the pools that ship: `places`, a file; `roads`, a package; `stones`, which cannot be imported."""
    write_module("shipped/places.py", SEARCH.format(version="5.0.0"))
    write_module("shipped/roads/__init__.py", "")
    write_module("shipped/roads/tools.py", SEARCH.format(version="6.0.0").replace("places", "roads"))
    write_module("shipped/stones.py", "1 / 0")
    write_module("shipped/database/__init__.py", "1 / 0")
    monkeypatch.setattr(workers.pools, "__path__", [str(tmp_path / "shipped")])
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("workers.pools.")}
    yield
    for name in [name for name in sys.modules if name.startswith("workers.pools.")]:
        del sys.modules[name]
    sys.modules.update(kept)


@pytest.mark.usefixtures("shipped")
def test_a_shipped_pool_is_a_file_or_a_package_with_tools() -> None:
    assert shipped_pools() == {
        "places": "workers.pools.places",
        "roads": "workers.pools.roads.tools",
        "stones": "workers.pools.stones",
    }


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("pool", ["places", "roads"])
def test_only_the_shipped_pools_that_are_wanted_are_imported(pool: str) -> None:
    assert ToolRegistry.load(pools=[pool], installed=[]).pools() == (pool,)


@pytest.mark.usefixtures("shipped")
def test_a_pool_of_your_own_takes_the_place_of_the_shipped_one(write_module: WriteModule) -> None:
    write_module("my_tools.py", SEARCH.format(version="1.0.0"))

    registry = ToolRegistry.load(modules=["my_tools"], pools=["places", "roads"], installed=[])

    assert references(registry, "places") == ["search@1.0.0"]
    assert references(registry, "roads") == ["search@6.0.0"]


@pytest.mark.usefixtures("shipped")
def test_without_a_wish_every_shipped_pool_is_loaded() -> None:
    with pytest.raises(ToolLoadingError, match=r"workers\.pools\.stones cannot be imported: .*ZeroDivisionError"):
        ToolRegistry.load(installed=[])


@pytest.mark.usefixtures("shipped")
def test_a_pool_without_tools_is_an_error_that_lists_the_pools_there_are(write_module: WriteModule) -> None:
    write_module("my_tools.py", SEARCH.format(version="1.0.0").replace("places", "mine"))

    with pytest.raises(ToolLoadingError, match=r"No tool of the pool 'rods' .* of: mine, places, roads, stones"):
        ToolRegistry.load(modules=["my_tools"], pools=["rods"], installed=[])


def test_one_tool_found_in_two_places_is_one_tool() -> None:
    @tool(pool="places")
    def search(city: str) -> str:
        """Search."""
        return city

    registry = ToolRegistry([(search, "here"), (search, "there")])

    assert registry.for_pool("places") == (search,)
    assert registry.loaded_from("search@1.0.0") == "here"


def test_the_pools_that_ship_can_all_be_loaded() -> None:
    program = """
from workers.registry import ToolRegistry, shipped_pools
registry = ToolRegistry.load(installed=[])
assert set(shipped_pools()) == set(registry.pools()), registry.pools()
"""
    folder = Path(workers.pools.__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
