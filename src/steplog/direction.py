"""Which way a metric is better: a guess from its name, for who asks for the best value of it.

The page has the same list, in ``ui/src/data/direction.ts``; a test compares the two.
"""

from __future__ import annotations

import re

_WORDS_OF_LESS = (
    "bce bpb bpc bpd brier ce cer cost delay divergence drift duration eer elapsed energy "
    "entropy err error errors fid forgetting gap kl latency logloss loss losses mae mape mse "
    "nll nmae nrmse overfit penalty perplexity ppl regret residual rmse rmsle seconds smape "
    "time wer"
)
LOWER = frozenset(_WORDS_OF_LESS.split())
"""Words of which less is better."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def lower_is_better(key: str) -> bool:
    """Tell whether less of a metric is better, as far as one of the words in its name says so.

    Example:
        >>> [lower_is_better(key) for key in ("valid/loss", "testRMSE", "accuracy", "glossiness")]
        [True, True, False, False]

    """
    return any(word.lower() in LOWER for word in _WORDS.findall(key))
