"""The lines of keys."""

from __future__ import annotations

from gateways.service.toml_lines import KeyLines

TEXT = '''\
top = 1
[a]
b.c = [
  "x = 1",  # ]
]
"d e" = """
f = 2
"""
g = { h = 1, i = "[" }
[[t]]
x = 1
[t.u]
y = 1
[[t]]
x = 2
[[t.v]]
z = 3
'''


def test_where_keys_stand() -> None:
    lines = KeyLines(TEXT)
    assert lines.line(("top",)) == 1
    assert lines.line(("a", "b", "c")) == 3
    assert lines.line(("a", "b", "c", 0)) == 3
    assert lines.line(("a", "d e")) == 6
    assert lines.line(("a", "g", "h")) == 9
    assert lines.line(("t", 0, "x")) == 11
    assert lines.line(("t", 0, "u", "y")) == 13
    assert lines.line(("t", 1, "x")) == 15
    assert lines.line(("t", 1, "v", 0, "z")) == 17


def test_what_is_not_there_is_where_it_would_be() -> None:
    lines = KeyLines(TEXT)
    assert lines.line(("t", 1, "missing")) == 14
    assert lines.line(("a", "f")) == 2
    assert lines.line(("nowhere",)) == 1


def test_tables_of_which_only_the_inner_ones_are_written_begin_with_the_first() -> None:
    lines = KeyLines("[[t]]\n[[t]]\n[s.a]\n[s.b]\n")
    assert lines.line(("t",)) == 1
    assert lines.line(("s",)) == 3
