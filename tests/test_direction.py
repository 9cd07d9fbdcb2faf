"""Which way a metric is better."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from steplog.direction import LOWER, lower_is_better

PAGE = Path(__file__).parent.parent / "ui" / "src" / "data" / "direction.ts"


@pytest.mark.skipif(not PAGE.exists(), reason="the sources of the page are not here")
def test_the_page_has_the_same_words_as_the_server() -> None:
    """What counts as less is better for a column of the table does so on the page."""
    match = re.search(r"WORDS_OF_LESS =(.*?);", PAGE.read_text("utf-8"), re.DOTALL)
    assert match is not None
    texts = re.findall(r'"([^"]*)"', match[1])
    assert set("".join(texts).split()) == LOWER


def test_words_of_a_name_decide_and_parts_of_words_do_not() -> None:
    """Names are taken apart at capitals and signs; what has no such word is better when higher."""
    assert all(map(lower_is_better, ("valid/loss", "testRMSE", "step_time_seconds", "WER")))
    assert not any(map(lower_is_better, ("accuracy", "glossiness", "reward", "")))
