"""What was used last is kept, in bounded memory."""

from __future__ import annotations

from steplog.recent import OVERHEAD_BYTES, Recent


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    """Using a value keeps it; what is put under the same name takes the place of the other."""
    recent = Recent[str](3 * OVERHEAD_BYTES)
    for name in ("a", "b", "c"):
        recent.put(name, name, 0)
    recent.put("a", "again", 0)
    assert recent.get("b") == "b"
    recent.put("d", "d", 0)
    assert [recent.get(name) for name in ("a", "b", "c", "d")] == ["again", "b", None, "d"]


def test_what_is_too_large_costs_nothing() -> None:
    """A value that cannot be kept puts no other one out, but what its name stood for is gone."""
    recent = Recent[str](10 * OVERHEAD_BYTES)
    recent.put("a", "small", 100)
    recent.put("b", "small", 100)
    recent.put("b", "large", 10 * OVERHEAD_BYTES)
    assert (recent.get("a"), recent.get("b")) == ("small", None)


def test_values_of_no_size_are_bounded() -> None:
    """However small values are, they take something, and are not kept without end."""
    recent = Recent[int](100 * OVERHEAD_BYTES)
    for number in range(1_000):
        recent.put(number, number, 0)
    assert sum(recent.get(number) is not None for number in range(1_000)) == 100
