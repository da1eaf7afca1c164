import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shortlist.explaining.stage_one import MOST_BECAUSE, _told

amounts = arrays(np.float64, st.integers(1, 30), elements=st.floats(-1, 1, width=32))


@settings(max_examples=300, deadline=None)
@given(amounts=amounts)
def test_what_is_told_never_exceeds_the_whole(amounts):
    total = amounts.sum()
    if total < 1e-3:
        return
    shares = amounts / total
    told = _told(shares)
    assert len(set(told)) == len(told)
    assert shares[told].sum() <= 1 + 1e-9
    assert shares[told].tolist() == sorted(shares[told], reverse=True)
    rest = np.delete(shares, told)
    least = np.sort(np.abs(shares[told]))[-MOST_BECAUSE:].min(initial=np.inf)
    assert least >= np.abs(rest).max(initial=0) or np.abs(rest).max() <= 1e-6
    assert len(told) <= MOST_BECAUSE or (np.sort(shares[told])[: len(told) - MOST_BECAUSE] < 0).all()


def test_shares_that_add_nothing_are_left_out():
    assert _told(np.array([0.0, 1.0, 1e-9])) == [1]
    assert _told(np.zeros(0)) == []
