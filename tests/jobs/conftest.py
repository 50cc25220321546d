from tests.runtime.courses import ids_forgotten

__all__ = ["ids_forgotten"]
