from __future__ import annotations

import pytest

from lposs_geo.examples.agreement import Agreement, ClassAgreement
from lposs_geo.examples.changes import Change, Changes
from lposs_geo.examples.effect import effect_in_words, percent_text


def _agreement(*counts, has_earlier=True):
    return Agreement(tuple(ClassAgreement(f"c{index}", *each) for index, each in enumerate(counts)), has_earlier)


def _changes(*shares):
    pairs = tuple(Change("forest", f"c{index}", 100 * share, share) for index, share in enumerate(shares))
    return Changes(pairs, 100 * sum(shares), sum(shares))


BOTH = _agreement((14, 10, 14, 14, 12), (10, 9, 10, 10, 9))


@pytest.mark.parametrize(
    ("agreement", "changes", "said"),
    [
        (
            BOTH,
            _changes(0.027, 0.014),
            "19 of 24 examples agreed before, 24 after, 21 of 24 left out; 4.1 % of the area changed: forest to c0 "
            "2.7 %, forest to c1 1.4 %",
        ),
        (BOTH, None, "19 of 24 examples agreed before, 24 after, 21 of 24 left out"),
        (BOTH, _changes(), "19 of 24 examples agreed before, 24 after, 21 of 24 left out; nothing changed"),
        (_agreement((1, 0, 1, 0, 0), has_earlier=False), None, "0 of 1 example agreed without them, 1 after"),
        (_agreement(), _changes(0.0001), "<0.1 % of the area changed: forest to c0 <0.1 %"),
        (
            None,
            _changes(0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.01),
            "69.0 % of the area changed: forest to c0 30.0 %, forest to c1 20.0 %, forest to c2 10.0 %, forest to c3 "
            "5.0 %, forest to c4 2.0 %, 2 more",
        ),
        (None, None, ""),
        (_agreement(), None, ""),
    ],
)
def test_the_sentence(agreement, changes, said):
    assert effect_in_words(agreement, changes) == said
    assert "accura" not in said


def test_a_share_is_never_rounded_to_nothing():
    assert [percent_text(share) for share in (0, 1e-9, 0.0006, 1)] == ["0.0 %", "<0.1 %", "0.1 %", "100.0 %"]
