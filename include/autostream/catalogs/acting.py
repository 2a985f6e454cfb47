"""Catalogs that read and write a table's files by the account that acts for the table."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pyiceberg.io import FileIO, load_file_io
from pyiceberg.typedef import EMPTY_DICT, Properties

from autostream.catalogs.local_files import LocalFileIO, local_path
from autostream.hadoop.accounts import PROXY_USER, acting_account
from autostream.hadoop.settings import SCHEMES

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as _Base
else:
    _Base = object

CONNECTION: Final = "webhdfs."
HDFS_SCHEMES: Final = tuple(SCHEMES)
"""Schemes whose files belong to someone."""
FILE_IO: Final = "py-io-impl"
WEBHDFS_IO: Final = "autostream.hadoop.fileio.WebHdfsFileIO"
_LIBHDFS: Final = "hdfs."
_ELSEWHERE: Final = ("DEFAULT_SCHEME", "DEFAULT_NETLOC")
"""Properties by which PyIceberg finds a path without scheme somewhere else than on this machine."""


class ActingCatalog(_Base):
    """Mixed into PyIceberg's catalogs: a FileIO of a table acts by the table's account.

    That is the table's property `autostream.proxy-user`, else its namespace's, else the catalog's.
    """

    def __init__(self, name: str, **properties: str) -> None:
        """Open the catalog."""
        self._acting = threading.local()
        super().__init__(name, **properties)

    @property
    def _account(self) -> str | None:
        """The account that acts in this thread at the moment; None for the service itself."""
        return getattr(self._acting, "account", None)

    @contextmanager
    def _acting_as(self, account: str | None) -> Iterator[None]:
        before = self._account
        self._acting.account = account
        try:
            yield
        finally:
            self._acting.account = before

    def account_of(self, table: Mapping[str, str], namespace: str) -> str | None:
        """Return the account that acts for a table with these properties; None for the service itself.

        Raises:
            ConfigurationError: a property names no account.
        """
        if table.get(PROXY_USER):
            return acting_account(table)
        return acting_account({}, self._namespace_parameters(namespace), self.properties)

    def _namespace_parameters(self, namespace: str) -> Mapping[str, str]:
        return self.load_namespace_properties(namespace)

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        account = acting_account(properties, {PROXY_USER: self._account or ""}, self.properties)
        # An account that may set a table's properties must not choose the HDFS and its login.
        of_table = {key: value for key, value in properties.items() if not key.startswith(CONNECTION)}
        merged: dict[str, Any] = {**self.properties, **of_table}
        merged.pop(PROXY_USER, None)
        # PyIceberg's own way to HDFS needs Java's libraries; it is taken where its properties are set.
        if FILE_IO not in merged and has_owners(location) and not any(key.startswith(_LIBHDFS) for key in merged):
            merged[FILE_IO] = WEBHDFS_IO
        if not {FILE_IO, *_ELSEWHERE} & merged.keys() and account is None and local_path(location):
            return LocalFileIO(merged)
        return load_file_io(merged if account is None else {**merged, PROXY_USER: account}, location)


def has_owners(location: str | None) -> bool:
    """Say whether files at a location belong to accounts, so that it matters who writes them."""
    return (location or "").partition(":")[0].lower() in HDFS_SCHEMES
