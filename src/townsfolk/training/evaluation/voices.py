"""Whose voice is it? A classifier of lines, trained on other lines than those it judges.

Character n-grams and words, weighted by TF-IDF, with logistic regression: a baseline that is hard to beat
for authorship of short texts (Stamatatos, 2009). It refuses to know scenes: only how something is said.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from townsfolk.errors import ConfigError


class Voices:
    """Tells personas apart by what they say."""

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        """Learn from (persona, line) pairs.

        Raises:
            ConfigError: there are not two personas to tell apart, or scikit-learn is not installed.
        """
        pairs = sorted({(persona, line) for persona, line in lines if line})
        if len({persona for persona, _ in pairs}) < 2:
            raise ConfigError("voices are told apart between two personas or more: give a dataset of both")
        self._model = _model().fit([line for _, line in pairs], [persona for persona, _ in pairs])

    def recognised(self, lines: Sequence[str], persona: str, together: int = 1) -> float:
        """Share of the conversations of `together` lines (each line with those after it) in which they are
        likeliest `persona`'s.

        One short line can be anybody's: those of the authors are told apart in four of five cases.
        """
        by_line = self._model.predict_log_proba(list(lines))  # [lines, personas]
        summed = sum(np.roll(by_line, -shift, axis=0) for shift in range(min(together, len(lines))))
        return float((self._model.classes_[np.argmax(summed, axis=1)] == persona).mean())


def _model() -> Any:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union
    except ImportError as error:
        raise ConfigError(
            "telling voices apart needs scikit-learn: pip install 'townsfolk[train]'"
        ) from error
    return make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
        ),
        LogisticRegression(C=10, max_iter=2_000),
    )
