"""Dirt thrown at random into a clean log: the clean rows come back as they were, every other one with its reason."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.data.validation.validate import validate

NOW = 1_700_000_000
T = 900_000_000
LINES = {
    "missing_id": [",i1,3,{t}", "u1,,3,{t}", "null,i1,3,{t}", " ,i1,3,{t}"],
    "not_a_number": ["u1,i1,good,{t}", "u1,i1,3.1.2,{t}"],
    "not_finite": ["u1,i1,nan,{t}", "u1,i1,inf,{t}", "u1,i1,-inf,{t}"],
    "missing_time": ["u1,i1,3,", "u1,i1,3,NaT"],
    "unreadable_time": ["u1,i1,3,soon", "u1,i1,3,2020-02-31"],
    "negative_time": ["u1,i1,3,-{t}", "u1,i1,3,-1", "u1,i1,3,1965-01-01"],
    "absurd_time": ["u1,i1,3,0", "u1,i1,3,10{t}00", "u1,i1,3,9999-12-31", "u1,i1,3,99999999999"],
    "ragged_row": ["u1,i1,3", "u1,i1,3,{t},", "", "u1"],
    "broken_quotes": ['u1,i"1,3,{t}', 'u1,"i1"x,3,{t}', 'u1,i1",3,{t}', 'u1,i1,3,"{t}"0'],
    "invalid_bytes": ["u1,i\udcff1,3,{t}", "u1,i\x001,3,{t}"],
}
NUMBERS = {
    "missing_id": [{"user_id": None}, {"item_id": None}],
    "not_finite": [{"rating": float("nan")}, {"rating": float("inf")}],
    "missing_time": [{"timestamp": None}],
    "negative_time": [{"timestamp": -7}],
    "absurd_time": [{"timestamp": 0}, {"timestamp": 10**15}],
    "missing_weight": [{"weight": None}],
    "negative_weight": [{"weight": -1.0}],
}


def clean_rows(n):
    """Events no two of which are the same, by users and items of which none stands out."""
    return [(f"u{row % 12}", f"i{row % 11}", float(row % 5), T + 60 * row) for row in range(n)]


@st.composite
def dirty_files(draw):
    """``(bytes, clean rows, {row: reason})``."""
    clean = clean_rows(draw(st.integers(12, 40)))
    names = draw(st.lists(st.sampled_from(sorted(LINES)), max_size=len(clean) // 2))
    rows = [(",".join(map(str, row)), None) for row in clean]
    for name in names:
        line = draw(st.sampled_from(LINES[name])).replace("{t}", str(draw(st.integers(T, T + 10**6))))
        rows.insert(draw(st.integers(0, len(rows))), (line, name))
    for twin in draw(st.lists(st.integers(0, len(clean) - 1), max_size=5, unique=True)):
        at = next(n for n, (line, _) in enumerate(rows) if line == ",".join(map(str, clean[twin])))
        user, item, rating, time = clean[twin]
        if draw(st.booleans()):
            place = draw(st.integers(at + 1, len(rows)))
            rows.insert(place, (f"{user},{item},{rating},{time}", "duplicate_event"))
        else:
            rows.insert(draw(st.integers(0, at)), (f"{user},{item},{rating + 1},{time}", "conflicting_duplicate"))
    text = "user_id,item_id,rating,timestamp\n" + "".join(f"{line}\n" for line, _ in rows)
    text += "u1,i1,3,-5\n"  # so that no blank line is the last
    reasons = {n: name for n, (_, name) in enumerate(rows) if name} | {len(rows): "negative_time"}
    return text.encode("utf-8", "surrogateescape"), clean, reasons


@settings(max_examples=100, deadline=None)
@given(dirty_files(), st.sampled_from(["\n", "\r\n"]))
def test_a_file(tmp_path_factory, dirty, line_end):
    content, clean, reasons = dirty
    path = tmp_path_factory.mktemp("dirty") / "log.csv"
    path.write_bytes(content.replace(b"\n", line_end.encode()))
    found = validate(path, now=NOW)
    assert found.dataset.interactions.select("user_id", "item_id", "rating", "timestamp").rows() == clean
    assert dict(found.set_aside.select("row", "reason").rows()) == reasons
    assert found.set_aside["line"].to_list() == [row + 2 for row in found.set_aside["row"]]
    counts = found.counts["interactions"]
    assert counts["rows_read"] == len(clean) + len(reasons) == counts["rows_kept"] + sum(counts["set_aside"].values())
    assert sum(one.n_rows for one in found.of("set_aside")) == len(reasons)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_frame(data):
    names = ("user_id", "item_id", "rating", "timestamp", "weight")
    clean = [dict(zip(names, (*row, 1.0), strict=True)) for row in clean_rows(data.draw(st.integers(12, 40)))]
    rows = [(row, None) for row in clean]
    for reason in data.draw(st.lists(st.sampled_from(sorted(NUMBERS)), max_size=len(clean) // 2)):
        bad = data.draw(st.sampled_from(clean)) | data.draw(st.sampled_from(NUMBERS[reason]))
        rows.insert(data.draw(st.integers(0, len(rows))), (bad, reason))
    found = validate(pl.DataFrame([row for row, _ in rows], infer_schema_length=None), now=NOW)
    assert found.dataset.interactions.select(names).to_dicts() == clean
    reasons = {n: reason for n, (_, reason) in enumerate(rows) if reason}
    assert dict(found.set_aside.select("row", "reason").rows()) == reasons
