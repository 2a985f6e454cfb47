"""The documents name nothing that is not there: commands, options, settings, properties, modules, files, variables."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from autostream.cli.groups import ENTRIES
from autostream.cli.reference import commands, root_options
from autostream.config.root import entry_model, section_models
from autostream.lake.compaction.compaction_options import OPTION_NAMES, PROPERTY_PREFIX, CompactionOptions
from autostream.table_properties import table_properties

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PLACES = ("include", "plugins", "dags", "tests", "scripts", "benchmarks", "docs")

NOT_MODULES = {
    "autostream.toml",  # a file
    "autostream.compactions",  # asset aliases
    "autostream.released-locks",
    "autostream.watermark.table",  # parameters of Flink jobs
    "autostream.watermark.writer",
    "autostream.lock.catalog",  # properties of catalogs
    "autostream.hive.compare-and-swap",
    "autostream.proxy-user",
    "autostream.team",
    "autostream.owner",
}
NOT_SETTINGS = {
    "watermark.table",  # Amoro's table property
    "flink.watermark",  # what a job writes into the summaries of its snapshots
    "watermark.flink_urls",  # read for the sake of earlier versions
    "janitor.flink_urls",
}


def code(text: str) -> Iterator[str]:
    """Yield what stands in code: each line of a block, and each span in a line."""
    fenced = re.compile(r"^```.*?\n(.*?)^```", re.M | re.S)
    for block in fenced.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    text = fenced.sub("", text)
    yield from re.findall(r"^ {4,}(\S.*)$", text.replace("\\\n", " "), re.M)
    for paragraph in re.split(r"\n\s*\n", re.sub(r"^ {4,}\S.*$", "", text, flags=re.M)):
        yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", paragraph))


def pages() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        yield str(page.relative_to(ROOT)), page.read_text()


def spans(pattern: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield what of the code in all pages matches a pattern as a whole, with the page's name."""
    for name, text in pages():
        yield from ((name, found) for span in code(text) if (found := re.fullmatch(pattern, span)))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them of headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    made: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.*)$", text, re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        made.add(next(s for s in (slug, *(f"{slug}-{n}" for n in range(1, 100))) if s not in made))
    return made


def test_links_lead_to_what_exists() -> None:
    broken = []
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        for file, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
            target = (page.parent / file) if file else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.name}: {file}#{anchor}")
    assert broken == []


def complaint(line: str, tree: dict[str, set[str]]) -> str | None:
    """Return what of a command line is not there, or None."""
    words = re.split(r"\s[|#>&;]|[;)]|$", line)[0].replace('"', "").split()
    options = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    named = [word for word in words if re.fullmatch(r"[a-z][a-z-]*(\|[a-z-]+)*", word)]
    if not named or words[0] not in named:
        return None if set(options) <= {*root_options(), "--help", "-h"} else line
    if words[0] not in ENTRIES:
        return line
    paths = [words[0]]
    if any(path.startswith(f"{words[0]} ") for path in tree):
        verbs = words[1].split("|") if len(words) > 1 and words[1] in named else []
        paths = [f"{words[0]} {verb}" for verb in verbs] or paths
    known = all(path in tree and set(options) <= tree[path] | {"-vv"} for path in paths)
    return None if known else line


@cache
def tree() -> dict[str, set[str]]:
    return {
        path: {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}
        for path, command in commands().items()
    }


def test_commands_and_options_exist() -> None:
    seen, wrong = 0, []
    for page, found in spans(r"(?:.*(?:\$|&&|\$\() ?)?autostream (?!demo:)(\S.*)"):
        seen += 1
        if bad := complaint(found[1], tree()):
            wrong.append(f"{page}: autostream {bad}")
    assert seen > 80
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "tables list",
        "table lists lake",
        "table compact lake.db.orders --dry",
        "table enable|off lake.db.orders",
        "serve --ports 80",
        "--versions",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    assert complaint(line, tree()) == line


def is_module_or_name(dotted: str) -> bool:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def test_modules_and_properties_exist() -> None:
    keys = {known.key for known in table_properties()} | NOT_MODULES
    prefixes = tuple({key.removesuffix("NAME") for key in keys if key.endswith("NAME")})
    wrong = []
    for page, found in spans(r"(autostream(?:_airflow)?(?:\.[\w-]+)+)(\(.*)?"):
        name = found[1]
        if not (name in keys or name.startswith(prefixes) or is_module_or_name(name)):
            wrong.append(f"{page}: {name}")
    assert wrong == []


def test_files_exist() -> None:
    wrong = [
        f"{page}: {found[0]}"
        for page, found in spans(rf"(?:{'|'.join(PLACES)})/[\w./-]*")
        if not (ROOT / found[0]).exists() and "NAME" not in found[0]
    ]
    assert wrong == []


def test_tests_exist() -> None:
    modules = {path.stem: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    wrong = [
        f"{page}: {found[0]}"
        for page, found in spans(r"(?:\w+/)*(test_\w+)(?:::(\w+))?")
        if f"def {found[2] or 'test_'}" not in modules.get(found[1], "")
    ]
    assert wrong == []


def test_settings_exist() -> None:
    sections = section_models()
    properties = {known.key for known in table_properties()}
    wrong = []
    for page, found in spans(rf"({'|'.join(sections)})\.([a-z_]+)"):
        known = found[0] in properties | NOT_SETTINGS or is_module_or_name(f"autostream.{found[0]}")
        if not known and found[2] not in sections[found[1]].model_fields:
            wrong.append(f"{page}: {found[0]}")
    assert wrong == []


def test_examples_of_the_configuration_file_have_keys_that_exist() -> None:
    sections, wrong, seen = section_models(), [], 0
    for page, text in pages():
        keys: set[str] | None = None
        for line in code(text):
            if table := re.fullmatch(r"\[\[?(\w+)(?:\.(\w+))?\]\]?(?: *#.*)?", line):
                if table[1] not in sections:
                    keys = None
                    continue
                model = entry_model(table[1], table[2]) if table[2] else sections[table[1]]
                keys = set(model.model_fields) if model else set()
                seen += 1
            elif keys is not None and (key := re.match(r"(?:# )?(\w+) = ", line)):
                wrong += [] if key[1] in keys else [f"{page}: {line}"]
            else:
                keys = None
    assert seen > 5
    assert wrong == []


def test_environment_variables_are_known() -> None:
    sections = section_models()
    sources = [path for place in PLACES[:-1] for path in (ROOT / place).rglob("*") if path.suffix in (".py", ".sh", "")]
    sources = [path for path in sources if path.is_file() and path != Path(__file__)]
    text = "\n".join(
        path.read_text(errors="ignore") for path in [*sources, *ROOT.glob("docker-compose.yaml"), ROOT / "Makefile"]
    )
    wrong = []
    for page, content in pages():
        for name in set(re.findall(r"\bAUTOSTREAM_\w+", content)) - {"AUTOSTREAM_SECTION__KEY"}:
            section, _, key = name.removeprefix("AUTOSTREAM_").lower().partition("__")
            is_setting = section in sections and key.split("__")[0] in sections[section].model_fields
            if not is_setting and not re.search(rf"\b{name}\b", text):
                wrong.append(f"{page}: {name}")
    assert wrong == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    wrong = [f"{page}: {found[0]}" for page, found in spans(r"make ([a-z-]+).*") if found[1] not in targets]
    assert wrong == []


def test_pages_are_in_plain_words() -> None:
    riddles = re.compile(
        r"\b(anew|somebody|as yet|comes into being|holds? up no|works by)\b|(?<!\bthere) is no (?!longer)[a-z]+[ .,]",
        re.I,
    )
    guides = [(page, text) for page, text in pages() if page != "docs/architecture.md"]  # for who builds it
    assert [f"{page}: {found[0]}" for page, text in guides for found in riddles.finditer(text)] == []


def test_messages_are_in_plain_words() -> None:
    """The texts in the code, its documentation strings apart; the console's own are in its catalogue of texts."""
    riddles = re.compile(
        r"\b(anew|somebody|whoever|as yet|for none is|works by|holds? up no|cannot be told)\b"
        r"|(?<!\bthere) is no (?!longer)[a-z]+[ .,:]|\bis to be\b|\borphan sweep\b",
        re.I,
    )
    wrong = []
    for file in sorted([*(ROOT / "include").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]):
        tree = ast.parse(file.read_text())
        documented = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        wrong += [
            f"{file.relative_to(ROOT)}:{node.lineno}: {found[0]}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented
            for found in riddles.finditer(node.value)
        ]
    assert wrong == []


def test_the_properties_of_compaction_are_those_of_the_code() -> None:
    documented = {
        known.key.removeprefix(PROPERTY_PREFIX): known.default
        for known in table_properties()
        if known.key.startswith(PROPERTY_PREFIX)
    }
    assert set(documented) == set(OPTION_NAMES)
    for name, default in documented.items():
        value = getattr(CompactionOptions(), re.sub(r"[.-]", "_", name))
        assert default == str(value).lower()


def test_every_property_that_the_code_reads_is_documented() -> None:
    documented = {re.sub(r"(NAME|COLUMN)$", "", known.key) for known in table_properties()}
    pattern = re.compile(r'"((?:autostream\.(?:lock|watermark)|commit|engine\.hive|write)\.[a-z.-]+)"')
    files = [file for file in (ROOT / "include/autostream").rglob("*.py") if file.name != "table_properties.py"]
    texts = [file.read_text() for file in files if "demo" not in file.parts]
    read = {key for text in texts for key in pattern.findall(text) if not is_module_or_name(key)}
    assert read - documented - NOT_MODULES == set()
    unread = documented - read - {"autostream.watermark", "schema.name-mapping.default"}
    assert {key for key in unread if not key.startswith(PROPERTY_PREFIX)} == set()
