"""A private Ziggie stack: MariaDB, memcached, ziggied and a web server under one state directory.

Standard library only, so that it runs on a machine that has nothing but Python.
"""


class StackError(Exception):
    """Something that the person who started the stack can act on."""
