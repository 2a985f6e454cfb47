import re
from importlib import import_module
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

import autostream
from autostream.store.database import Database
from autostream.store.rows import ROW_MODULES, declared_tables
from autostream.store.schema import REVISIONS
from tests.store.schemas import differences


def test_the_list_of_revisions_is_that_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", "autostream.store:migrations")
    scripts = ScriptDirectory.from_config(config)

    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_every_module_that_declares_rows_is_listed() -> None:
    assert autostream.__file__
    package = Path(autostream.__file__).parent
    declaring = {
        ".".join(("autostream", *path.relative_to(package).with_suffix("").parts))
        for path in package.rglob("*.py")
        if re.search(r"^class \w+\(RowBase\):", path.read_text(), re.MULTILINE)
    }

    assert declaring == set(ROW_MODULES)
    assert all(import_module(module) for module in ROW_MODULES)


def test_names_of_tables_carry_the_prefix() -> None:
    assert [name for name in declared_tables().tables if not name.startswith("autostream_")] == []


def test_migrations_make_what_rows_declare(tmp_path: Path) -> None:
    assert differences(Database(f"sqlite:///{tmp_path}/a.db")) == []
