"""Side-by-side measurements of Ziggie and its named peers; standard library only."""


class BenchError(Exception):
    """Something that the person who started the bench can act on."""
