from tests.runtime.courses import ada, bob, ids_forgotten, odd_blocks

__all__ = ["ada", "bob", "ids_forgotten", "odd_blocks"]
