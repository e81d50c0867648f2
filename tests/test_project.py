"""The project's own promises, kept by looking at every file that is committed."""

import ast
import itertools
import re
import subprocess
import sys
import tomllib

import pytest

PLUGINS = {"features", "labels", "models", "desks", "safety"}
ROOMS = {"core", "quant", "store", "market", "dialects", *PLUGINS, "research", "trade", "app"}
#: Folders whose names could hold anything.
SHAPELESS = {"utils", "util", "helpers", "common", "manager", "managers", "base", "misc"}


@pytest.fixture(scope="session")
def committed(root):
    """Every file under version control; in an archive without history, every file that is not ignored."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this copy has no version control to list the files with")
    return [root / name for name in listed.stdout.splitlines() if (root / name).is_file()]


@pytest.fixture(scope="session")
def texts(committed):
    found = {}
    for path in committed:
        try:
            found[path] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            assert path.suffix in {".png", ".parquet", ".gz"}, f"{path} is neither text nor a picture"
    return found


@pytest.fixture(scope="session")
def modules(root):
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((root / "src").rglob("*.py"))}


def _calls(tree):
    """Every dotted name that is read; an environment variable that is only set is not."""
    written = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in written:
            yield ast.unparse(node)


def _lines(function):
    """Lines of code of a function, its docstring left out, and the classes that it defines on first use."""
    first = function.body[0]
    says = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    inner = [each for each in ast.walk(function) if isinstance(each, ast.ClassDef)]
    left_out = [*inner, *([first] if says else [])]
    return function.end_lineno - function.lineno + 1 - sum(each.end_lineno - each.lineno + 1 for each in left_out)


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _room(path, root):
    parts = path.relative_to(root / "src" / "openbell").parts
    return parts[0] if len(parts) > 1 else ""


def test_no_package_registry_is_named(texts):
    """A clone must build behind any mirror: where packages come from is pip's own configuration."""
    hosts = re.compile(
        r"(pypi|files\.pythonhosted|test\.pypi|piwheels|anaconda)" + r"\.(org|com)|--(extra-)?index" + "-url"
    )
    assert [str(path) for path, text in texts.items() if hosts.search(text)] == []


def test_no_place_of_a_developers_machine_is_named(texts):
    places = re.compile(r"(?<![\w.])/(root|home/\w+|Users/\w+|work|opt/\w+)/\S")
    allowed = {"store", "tests"}  # examples of URLs in sentences
    found = [str(path) for path, text in texts.items() if places.search(text) and not allowed & set(path.parts)]
    assert found == []


def test_nothing_is_unpickled(modules):
    """check: no pickle, ever. Kills: a joblib.load that would run whatever a model file says."""
    loads = re.compile(r"\b(pickle|cloudpickle|dill|joblib|shelve|marshal)\.(load|loads|Unpickler|open)$")
    assert [(path.name, call) for path, tree in modules.items() for call in _calls(tree) if loads.search(call)] == []
    banned = {"pickle", "cloudpickle", "dill", "shelve", "marshal"}
    assert [(path.name, name) for path, tree in modules.items() for name in _imports(tree) if name in banned] == []


def test_only_the_app_reads_clock_and_environment(modules, root):
    """Kills: a default of `datetime.now()` deep inside a computation."""
    reads = re.compile(r"(\.now|\.today|\.utcnow|time\.time|time\.time_ns|os\.environ|os\.getenv)$")
    found = [
        (str(path.relative_to(root)), call)
        for path, tree in modules.items()
        if _room(path, root) not in ("app", "")
        for call in _calls(tree)
        if reads.search(call)
    ]
    assert found == []


def test_the_core_stands_on_numpy_polars_and_the_standard_library(modules, root):
    allowed = {*sys.stdlib_module_names, "numpy", "polars", "openbell"}
    outside = {
        name
        for path, tree in modules.items()
        if _room(path, root) == "core"
        for name in _imports(tree)
        if name.partition(".")[0] not in allowed
    }
    assert outside == set()


def test_every_room_is_one_of_the_house_and_says_what_it_is(root):
    rooms = {path.parent.name for path in (root / "src" / "openbell").glob("*/__init__.py")}
    assert rooms == ROOMS
    for path in (root / "src").rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} says nothing"
    names = {each.stem for each in (root / "src").rglob("*")}
    assert names & SHAPELESS == set()


def test_files_and_functions_stay_readable(modules):
    long_files = [path.name for path in modules if path.read_text(encoding="utf-8").count("\n") > 500]
    assert long_files == []
    functions = [
        (path.name, node.name, _lines(node))
        for path, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _lines(node) > 80
    ]
    assert functions == []


def test_nothing_is_left_for_later_in_the_code(texts, root):
    marks = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    sources = {path: text for path, text in texts.items() if path.suffix == ".py" and (root / "src") in path.parents}
    assert [path.name for path, text in sources.items() if marks.search(text)] == []


def test_every_pinned_version_is_exact_and_every_dependency_is_pinned(root):
    lines = (root / "requirements" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[\w.]+", line)] == []
    named = {line.partition("==")[0].replace(".", "-") for line in pins}
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    bare = {re.match(r"[A-Za-z0-9._-]+", each)[0].lower() for each in wanted}
    assert bare - named == set()
    assert "torch==2.13.0" in pins


def test_the_extras_that_were_asked_for_exist_and_hold_something(root):
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = {"lstm", "postgres", "redis", "s3", "ray", "dask", "yahoo", "ib", "alpaca", "demo", "bench", "dev"}
    assert asked - set(extras) == set()
    assert [name for name, each in extras.items() if not each] == []


def test_the_licence_is_mit(root):
    text = (root / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License")
    assert "Openbell contributors" in text
    assert tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["license"] == "MIT"


def test_no_market_data_are_committed(committed):
    big = [str(path) for path in committed if path.stat().st_size > 1_000_000 and path.suffix != ".png"]
    assert big == []
    assert [
        str(path) for path in committed if path.suffix in {".parquet", ".gz", ".db"} and "tests" not in path.parts
    ] == []


def test_make_and_ci_are_runnable(root):
    assert (root / ".ci" / "run").stat().st_mode & 0o111
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test", "test-all", "lint", "bench", "docs"):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
