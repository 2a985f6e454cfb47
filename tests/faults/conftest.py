from tests.coordination.conftest import connect, root

__all__ = ["connect", "root"]
