"""docs/requests.md: nothing that was asked for is missing, and what is said to be here exists."""

import ast
import re

import pytest
import yaml

from openbell.app.request_keys import KEYS, Ours
from openbell.app.settings import keys
from openbell.core.declare import discover

STATUSES = {"here", "live", "measured", "refused"}
SECTIONS = (
    "store", "data", "run", "trade", "train", "tournament", "options", "gate", "serve", "live", "ops", "desks",
    "selection", "safety", "models",
)  # fmt: skip
SUFFIXES = "py|yaml|yml|md|json|csv|pkl|sql|sh|tf|html|png|txt|md5"
FOLDERS = ("src/", "tests/", "docs/", "requirements/", "benchmarks/", ".ci/")
#: Words that the patterns find in sentences and that name nothing.
NO_NAMES = {"with", "__init__"}


@pytest.fixture(scope="session")
def page(root):
    return (root / "docs" / "requests.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def rows(page):
    lines = page[page.index("\n## ") :].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] != "asked for"]


@pytest.fixture(scope="session")
def spec(root):
    folder = root.parent / "shared" / "spec"
    if not folder.exists():
        pytest.skip(f"the requests are not at {folder}")
    return folder


def _leaves(node, prefix=""):
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _from_block(language, body):
    if language == "yaml" and isinstance(said := yaml.safe_load(body), dict):
        yield from _leaves(said)
    for found in re.finditer(r"^([A-Z_]{6,}) = (\{.*?^\})", body, flags=re.MULTILINE | re.DOTALL):
        yield from (f"{found[1]}.{leaf}" for leaf in _leaves(ast.literal_eval(found[2])))
    ours = r"^\s*from ((?:src|scripts|almanac|ml_prediction_client)[\w.]*) import (.+)$"
    for found in re.finditer(ours, body, flags=re.MULTILINE):
        yield from (name.strip() for name in found[2].split(","))
    yield from re.findall(r"(?:Counter|Histogram|Gauge)\('(\w+)'", body)
    yield from re.findall(r"^\s*- name: (\w+)", body, flags=re.MULTILINE)
    if language == "sql":
        yield from re.findall(r"^\s{4}(\w+) [A-Z]", body, flags=re.MULTILINE)
        yield from re.findall(r"CREATE (?:TABLE|INDEX) (\w+)", body)


def _named(text):
    """Every file, function, class, setting, endpoint, metric, column and document that a request names."""
    found = set(re.findall(rf"(?<![\w/.*-])((?:[\w.*-]+/)*[\w.*-]+\.(?:{SUFFIXES}))\b(?!\()", text))
    found |= set(re.findall(r"\bdef (\w+)\(", text)) | set(re.findall(r"^\s*class (\w+)", text, flags=re.MULTILINE))
    for language, body in re.findall(r"```(\w*)\n(.*?)```", text, flags=re.DOTALL):
        found |= set(_from_block(language, body))
    found |= set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))
    return {name.removeprefix("./").removesuffix("()").rstrip("/") for name in found} - NO_NAMES


def _stands(name, tokens):
    return any(name == token or token.endswith(f"/{name}") or name.endswith(f"/{token}") for token in tokens)


def test_every_requirement_has_a_row(spec, rows):
    """Kills: a row of the requirements left out."""
    wanted = {
        found
        for name in ("stocks", "options", "gate", "signals", "session")
        for found in re.findall(
            r"^\| (S\d\.\d\d)", (spec / f"{name}.md").read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    }
    listed = [found for row in rows for found in re.findall(r"S\d\.\d\d", row[0])]
    assert len(wanted) == 181
    assert wanted - set(listed) == set()
    assert sorted(listed) == sorted(set(listed))


LEAST = {"stocks": 190, "options": 12, "gate": 45, "signals": 125, "session": 45}


@pytest.mark.parametrize(("request_name", "least"), LEAST.items())
def test_every_name_of_a_request_is_listed(spec, rows, request_name, least):
    """Kills: a file, function, setting, endpoint, metric or document that nobody answers for."""
    names = _named((spec / f"request_{request_name}.md").read_text(encoding="utf-8"))
    assert len(names) >= least
    tokens = {token.rstrip("/") for row in rows for token in re.findall(r"`([^`]+)`", row[0])}
    assert sorted(name for name in names if not _stands(name, tokens)) == []


def test_every_row_has_a_status_and_an_answer(rows):
    assert len(rows) > 250
    assert [row for row in rows if len(row) != 3 or row[1] not in STATUSES] == []
    assert [row[0] for row in rows if len(row[2]) < 8] == []


def _commands():
    import typer

    from openbell.app import cli

    if not cli.app.registered_commands:
        cli._mount()
    return typer.main.get_command(cli.app)


def _command_exists(words):
    group = _commands()
    for word in words:
        if not hasattr(group, "commands"):
            return True  # what follows are arguments
        if word not in group.commands:
            return False
        group = group.commands[word]
    return not hasattr(group, "commands") or len(words) > 0


def _exists(token, root, known):
    path, _, test = token.partition("::")
    if token.startswith(FOLDERS):
        found = (root / path).exists()
        return found and (
            not test or re.search(rf"^def {test}\(", (root / path).read_text(encoding="utf-8"), re.MULTILINE)
        )
    if token.startswith("openbell "):
        return _command_exists([word for word in token.split()[1:] if not word.startswith("-")])
    if re.fullmatch(rf"({'|'.join(SECTIONS)})\.[\w.]+", token):
        return token in known
    return None


def test_what_is_here_exists(rows, root):
    """Kills: a module that was renamed, a command that is not there, a setting that nobody reads."""
    known = keys(discover())
    wrong, empty = [], []
    for asked, status, answer in (row for row in rows if row[1] == "here"):
        said = {token: _exists(token, root, known) for token in re.findall(r"`([^`]+)`", answer)}
        wrong += [(asked, token) for token, found in said.items() if found is not None and not found]
        if (
            not any(said.values())
            and not answer.startswith("always ")
            and "make " not in answer
            and ".toml" not in answer
        ):
            empty.append(asked)
        assert status == "here"
    assert wrong == []
    assert empty == []


def test_a_path_named_anywhere_exists(rows, root):
    named = {token for row in rows for token in re.findall(r"`([^`]+)`", row[2]) if token.startswith(FOLDERS)}
    assert sorted(token for token in named if not (root / token.partition("::")[0]).exists()) == []


def test_settings_are_told_as_the_code_maps_them(rows):
    """Kills: the page and `request_keys.py` drifting apart."""
    told = {key: row for row in rows for key in re.findall(r"`([^`]+)`", row[0])}
    for theirs, rule in KEYS.items():
        assert theirs in told
        if isinstance(rule, Ours):
            assert f"`{rule.key}`" in told[theirs][2], theirs
        else:
            assert rule.why in told[theirs][2], theirs
