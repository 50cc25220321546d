"""A test kit for any Django project: it needs no other part of Fieldstone, and no entry in ``INSTALLED_APPS``.

``pip install 'fieldstone[testing]'``. Each tool is a context manager, a decorator and a fixture of pytest; plain
``TestCase`` classes take ``TestKit`` beside them. ``docs/how-to/testing.md`` shows each before and after.
"""
