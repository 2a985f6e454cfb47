"""What a metastore's answer to a change says of the change."""

import pytest
from hive_metastore.ttypes import (
    AlreadyExistsException,
    InvalidObjectException,
    InvalidOperationException,
    MetaException,
    NoSuchObjectException,
)
from thrift.transport.TTransport import TTransportException

from autostream.catalogs.hive_answers import MetastoreAnswer, answer_of


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (
            MetaException("The table has been modified. The parameter value for key 'x' is 'y'."),
            "overtaken",
        ),
        (AlreadyExistsException("Table t already exists"), "overtaken"),
        (NoSuchObjectException("db.t table not found"), "overtaken"),
        (InvalidOperationException("Unable to alter table. table db.t doesn't exist"), "overtaken"),
        (
            InvalidOperationException(
                "The following columns have types incompatible with the existing columns in their respective positions"
            ),
            "rejected",
        ),
        (InvalidOperationException("partition keys can not be changed."), "rejected"),
        (InvalidObjectException("Invalid column name"), "rejected"),
        (
            MetaException("IllegalArgumentException: Error: type expected at the position 0 of 'timestamp with'"),
            "rejected",
        ),
        (
            MetaException("java.security.AccessControlException: Permission denied: user=alice"),
            "forbidden",
        ),
        (MetaException("User: svc is not allowed to impersonate alice"), "forbidden"),
        (MetaException("Permission denied: user [alice] does not have [ALTER] privilege on [db/t]"), "forbidden"),
        (InvalidOperationException("alice is not authorized to alter table t"), "forbidden"),
        # May have come after the change: from a listener, or the database's end of the transaction.
        (MetaException("javax.jdo.JDODataStoreException: Communications link failure"), "open"),
        (MetaException(), "open"),
        (TTransportException(message="TSocket read 0 bytes"), "open"),
        (OSError("Permission denied"), "open"),
    ],
)
def test_answers(error: Exception, answer: str) -> None:
    assert answer_of(error) is MetastoreAnswer(answer)
