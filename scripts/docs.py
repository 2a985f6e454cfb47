"""Writes the parts of the documentation that are generated from the code: `make docs`.

Such a part stands between `<!-- NAME: made by make docs -->` and `<!-- end of NAME -->`.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from autostream.cli.reference import markdown as commands
from autostream.config.reference import markdown as settings
from autostream.console.reference import markdown as rest
from autostream.table_properties import markdown as table_properties
from autostream.telemetry.figures import markdown as figures

DOCS: Final = Path(__file__).parents[1] / "docs"

PARTS: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "settings": ("configuration.md", settings),
    "commands": ("reference/commands.md", commands),
    "table-properties": ("reference/table-properties.md", table_properties),
    "rest": ("reference/rest.md", rest),
    "figures": ("metrics.md", figures),
}
"""Of each part its page, and what writes it."""


def written(name: str) -> tuple[Path, str, str]:
    """Return the page of a part, as it is and as it should be."""
    page, write = PARTS[name]
    file = DOCS / page
    before = file.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: made by make docs -->\n", f"<!-- end of {name} -->\n"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(before):
        sys.exit(f"{file} has no part {name!r}: add the lines {begin.strip()} and {end.strip()}.")
    return file, before, pattern.sub(lambda _: f"{begin}\n{write()}\n{end}", before)


def main() -> None:
    """Write all parts, and name the pages that changed."""
    for name in PARTS:
        file, before, after = written(name)
        if after != before:
            file.write_text(after, encoding="utf-8")
            print(f"{file}: {name}")


if __name__ == "__main__":
    main()
