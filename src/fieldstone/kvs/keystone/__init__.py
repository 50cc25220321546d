"""Keystone's ``keystone.common.kvs``, for code and tests that were written against it: change the imports.

``core`` and ``backends`` have the names that the old modules had. Stores are regions of dogpile.cache, which has
to be installed; new code takes ``fieldstone.kvs``.
"""
