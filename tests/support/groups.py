"""Tests of one `xdist_group` go to one worker, which has their services.

pytest-xdist 3.8 does that by changing the tests' ids, which pytest 9.2 no longer lets it.
"""

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

_GROUP = re.compile(r"""xdist_group\(["']([\w-]+)["']\)""")


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Shares out whole groups, a file's by the first mark in it, and single tests otherwise."""

    def _split_scope(self, nodeid: str) -> str:
        return _group_of(str(self.config.rootpath / nodeid.partition("::")[0])) or nodeid


@cache
def _group_of(file: str) -> str | None:
    path = Path(file)
    found = _GROUP.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found[1] if found else None
