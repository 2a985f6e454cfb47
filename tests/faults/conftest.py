from tests.coordination.conftest import connect, ensemble, root

__all__ = ["connect", "ensemble", "root"]
