"""Filters over item attributes: ``year >= 1995 and 'Drama' in genres``.

The text looks like Python and is parsed by `ast`, but nothing in it is ever run: a whitelist of nodes is turned into a
polars expression, and everything else is refused with its position.

=================  ===================================================================================================
Columns            What can be said
=================  ===================================================================================================
number             ``year >= 1995``, ``1990 <= year < 2000``, ``year in [1994, 1995]``, ``release_year < year``
text, category     ``title == 'Heat'``, ``title < 'M'``, ``title in ['Heat', 'Alien']``, ``'star' in title`` (a part of
                   the text, case matters)
list               ``'Drama' in genres``, ``'Drama' not in genres`` (lists of texts or numbers)
date, datetime     ``released >= '1995-01-01'``, ISO 8601, at midnight where no time is given, UTC where no zone is
boolean            ``available``, ``not available``, ``available == True``
every kind         ``year is None``, ``year is not None``, ``year == None``
=================  ===================================================================================================

Joined by ``and``, ``or``, ``not`` and parentheses. A truth value is not a number, and a number is not a text.

**Missing values.** The logic has three values, as in SQL: a comparison with a missing value is neither true nor false
but unknown, and so is its negation. An item without a year satisfies neither ``year > 1995`` nor ``not year > 1995``;
it does satisfy ``year > 1995 or available`` if it is available. In the end only *true* lets an item through. ``nan``
counts as missing. ``'Drama' in genres`` is false for an empty list and unknown for a missing one.

**Precision.** Integers are compared exactly; an integer column with a float column, and a float column with anything,
in float64, a Float32 column with a literal in float32 (so that ``rating == 3.7`` finds the stored 3.7), times in
microseconds.
"""

import ast
import difflib
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from shortlist.data.log import Mask
from shortlist.errors import QueryError

MAX_LENGTH = 1000
"""The longest filter, in characters."""
MAX_DEPTH = 50
"""How deep conditions may be nested in each other."""

_INT64 = range(-(2**63), 2**63)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SYMBOLS: dict[type[ast.cmpop], str] = dict(
    zip(
        (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot),
        (*_COMPARE, "in", "not in", "is", "is not"),
        strict=True,
    )
)


def where_mask(text: str, items: pl.DataFrame) -> Mask:
    """Which items satisfy a filter.

    Args:
        text: the filter, at most `MAX_LENGTH` characters.
        items: one row per item.

    Returns:
        bool (n_items,); an item for which the answer is unknown (see the module) is left out.

    Raises:
        QueryError: as in `compile_where`.

    >>> items = pl.DataFrame({"year": [1995, 1980, None], "genres": [["Drama"], ["Drama", "War"], []]})
    >>> where_mask("year >= 1995 and 'Drama' in genres", items)
    array([ True, False, False])
    >>> where_mask("not year >= 1995", items)
    array([False,  True, False])
    """
    mask: Mask = items.select(compile_where(text, items.schema)).to_series().to_numpy()
    return mask


def compile_where(text: str, schema: Mapping[str, Any]) -> pl.Expr:
    """A filter as a polars expression: Boolean, one value per row, never null.

    Args:
        text: the filter, at most `MAX_LENGTH` characters.
        schema: the columns it may name and their polars types.

    Raises:
        QueryError: the text cannot be parsed, names an unknown column, compares what does not fit or says what this
            language does not have. The message names the column, its type and the position in the text, counted in
            characters from 1.

    >>> pl.DataFrame({"year": [1994, 1995]}).filter(compile_where("year > 1994", {"year": pl.Int64}))["year"].item()
    1995
    >>> compile_where("yaer > 1994", {"year": pl.Int64})
    Traceback (most recent call last):
    shortlist.errors.QueryError: where, position 1: there is no column 'yaer'; did you mean 'year'?
    """
    if not isinstance(text, str):
        raise QueryError(f'where: expected a text such as "year >= 1995", got {type(text).__name__}')
    if len(text) > MAX_LENGTH:
        raise QueryError(f"where: {len(text):,} characters; at most {MAX_LENGTH:,} are allowed")
    if not text.strip():
        raise QueryError('where: the filter is empty; leave it out, or say for example "year >= 1995"')
    try:
        return _Compiler(text, pl.Schema(schema)).compile()
    except RecursionError:
        raise QueryError(f"where: conditions are nested too deeply (at most {MAX_DEPTH})") from None


@dataclass(frozen=True)
class _Operand:
    """One side of a comparison: a column or condition (``expr``, in its kind's common type) or a literal (``value``).

    The kinds: number, text, list of text, list of number, date, boolean, unsupported; of literals also list and None.
    """

    kind: str
    label: str
    position: int
    expr: pl.Expr | None = None
    dtype: pl.DataType | None = None
    value: Any = None


class _Compiler:
    """Walks one parsed filter."""

    def __init__(self, text: str, schema: pl.Schema) -> None:
        self.text = text
        self.schema = schema
        # Python reads identifiers in the form NFKC, a column's name may be written in another one.
        self.columns = {unicodedata.normalize("NFKC", name): name for name in schema} | {name: name for name in schema}
        self.leading = len(text) - len(text.lstrip())

    def compile(self) -> pl.Expr:
        return self._condition(self._parsed(), depth=0).fill_null(False)

    def _parsed(self) -> ast.expr:
        try:
            return ast.parse(self.text[self.leading :], mode="eval").body
        except SyntaxError as error:
            # Offset 0 stands for an end that comes too early.
            column = len(self.text) if error.offset == 0 else (error.offset or 1) - 1
            position = min(self._line_start(error.lineno or 1) + column, len(self.text)) + 1
            raise QueryError(f"where, position {position}: cannot be read: {error.msg}") from None
        except (ValueError, MemoryError, OverflowError, RecursionError, SystemError) as error:
            # Lone surrogates; a parser stack that is full, which some versions of Python tell as a SystemError.
            raise QueryError(f"where: cannot be read: {error or type(error).__name__}") from None

    def _line_start(self, line: int) -> int:
        """The 0-based position in the text at which a line (from 1) of what was parsed starts."""
        starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self.text[self.leading :]))]
        return self.leading + starts[min(line, len(starts)) - 1]

    def _position(self, node: ast.expr) -> int:
        """`ast` counts bytes of UTF-8 in the line; people count characters from 1."""
        start = self._line_start(node.lineno)
        return start + len(self.text[start:].encode()[: node.col_offset].decode(errors="ignore")) + 1

    def _refusal(self, node: ast.expr, message: str) -> QueryError:
        return QueryError(f"where, position {self._position(node)}: {message}")

    def _condition(self, node: ast.expr, depth: int) -> pl.Expr:
        if depth > MAX_DEPTH:
            raise self._refusal(node, f"conditions are nested too deeply (at most {MAX_DEPTH})")
        negated = False
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            negated, node = not negated, node.operand
        if isinstance(node, ast.BoolOp):
            # One flat call, because a deep nest of | and & overflows the stack of the process.
            join = pl.any_horizontal if isinstance(node.op, ast.Or) else pl.all_horizontal
            condition = join([self._condition(value, depth + 1) for value in node.values])
        elif isinstance(node, ast.Compare):
            condition = self._comparison(node, depth)
        else:
            condition = self._truth(node, depth)
        return ~condition if negated else condition

    def _truth(self, node: ast.expr, depth: int) -> pl.Expr:
        operand = self._operand(node, depth)
        if operand.kind != "boolean":
            raise self._refusal(node, f"{operand.label} is not a condition; compare it with something")
        return operand.expr if operand.expr is not None else pl.repeat(operand.value, pl.len(), dtype=pl.Boolean)

    def _comparison(self, node: ast.Compare, depth: int) -> pl.Expr:
        sides = [self._operand(side, depth + 1) for side in (node.left, *node.comparators)]
        symbols = [_SYMBOLS[type(op)] for op in node.ops]
        pairs = zip(sides, symbols, sides[1:], strict=False)
        conditions = [_compared(left, symbol, right) for left, symbol, right in pairs]
        return conditions[0] if len(conditions) == 1 else pl.all_horizontal(conditions)

    def _operand(self, node: ast.expr, depth: int) -> _Operand:
        position = self._position(node)
        if isinstance(node, ast.Name):
            return self._column(node)
        is_not = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        if is_not or isinstance(node, ast.BoolOp | ast.Compare):
            return _Operand("boolean", "a condition", position, expr=self._condition(node, depth + 1))
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            values = [self._literal(element) for element in node.elts]
            return _Operand("list", "a list of values", position, value=values)
        return self._literal(node)

    def _column(self, node: ast.Name) -> _Operand:
        if node.id not in self.columns:
            raise self._refusal(node, f"there is no column {node.id!r}; {self._instead(node.id)}")
        name = self.columns[node.id]
        dtype = self.schema[name]
        kind, expr = _canonical(pl.col(name), dtype)
        return _Operand(kind, f"column {name!r} ({kind}, {dtype})", self._position(node), expr=expr, dtype=dtype)

    def _instead(self, name: str) -> str:
        close = difflib.get_close_matches(name, list(self.schema), n=3)
        if close:
            return f"did you mean {' or '.join(map(repr, close))}?"
        shown = ", ".join(map(repr, list(self.schema)[:20]))
        more = f" and {len(self.schema) - 20:,} more" if len(self.schema) > 20 else ""
        return f"the columns are {shown}{more}" if shown else "there are no columns"

    def _literal(self, node: ast.expr) -> _Operand:
        sign, inner = 1, node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign, inner = (-1 if isinstance(node.op, ast.USub) else 1), node.operand
        position = self._position(node)
        value = inner.value if isinstance(inner, ast.Constant) else ...
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _Operand("number", f"the number {_short(node)}", position, value=self._number(node, sign * value))
        if inner is node and isinstance(value, bool):
            return _Operand("boolean", f"the truth value {value}", position, value=value)
        if inner is node and isinstance(value, str):
            return _Operand("text", f"the text {_short(node)}", position, value=value)
        if inner is node and value is None:
            return _Operand("None", "None", position)
        raise self._refusal(
            node,
            f"{_short(node)} is not allowed here; a filter is made of column names, numbers, quoted texts, True, "
            "False, None, lists of these, comparisons, in, and, or, not",
        )

    def _number(self, node: ast.expr, value: float) -> float:
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refusal(node, "this number is too large for float64")
        if isinstance(value, int) and value not in _INT64 and not 0 <= value < 2**64:
            raise self._refusal(node, "this number is too large for 64 bits")
        return value


def _canonical(expr: pl.Expr, dtype: pl.DataType) -> tuple[str, pl.Expr]:
    """A column's kind, and the column in that kind's common type; unsupported = it can only be compared with None."""
    if dtype == pl.Boolean:
        return "boolean", expr
    if _is_text(dtype):
        return "text", expr.cast(pl.String)
    if dtype.is_integer():
        return "number", expr.cast(_common_type(dtype), strict=False)
    if dtype.is_float() or dtype.is_decimal():
        return "number", expr.cast(pl.Float64).fill_nan(None)
    if dtype == pl.Date:
        return "date", expr.cast(pl.Datetime("us"), strict=False)
    if isinstance(dtype, pl.Datetime):
        utc = expr.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if dtype.time_zone else expr
        return "date", utc.cast(pl.Datetime("us"))
    if isinstance(dtype, pl.List | pl.Array):
        if _is_text(dtype.inner):
            return "list of text", expr.cast(pl.List(pl.String))
        if dtype.inner.is_integer() or dtype.inner.is_float():
            return "list of number", expr.cast(pl.List(_common_type(dtype.inner)), strict=False)
    return "unsupported", expr


def _is_text(dtype: Any) -> bool:
    return bool(dtype in (pl.String, pl.Categorical, pl.Enum))


def _common_type(dtype: Any) -> Any:
    """The type in which values of a type are compared; Float32 stays, so that 3.7 finds the stored 3.7."""
    if dtype.is_integer():
        return pl.Int128 if str(dtype) in ("UInt64", "Int128", "UInt128") else pl.Int64
    return dtype if dtype.is_float() else pl.String


def _short(node: ast.expr) -> str:
    """The source of a node, cut to what a message can carry."""
    if not isinstance(node, ast.Constant | ast.UnaryOp | ast.Name):
        return f"this ({type(node).__name__})"
    shown = ast.unparse(node)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def _misfit(left: _Operand, symbol: str, right: _Operand, hint: str = "") -> QueryError:
    return QueryError(
        f"where, position {left.position}: {left.label} {symbol} {right.label} (position {right.position}) does not "
        f"fit{': ' + hint if hint else ''}"
    )


def _compared(left: _Operand, symbol: str, right: _Operand) -> pl.Expr:
    """One comparison as a Boolean expression, null where it is unknown."""
    if symbol in ("is", "is not") and "None" not in (left.kind, right.kind):
        raise _misfit(left, symbol, right, "'is' goes with None; use == or !=")
    if left.expr is None and right.expr is None:
        raise _misfit(left, symbol, right, "neither side has a column")
    if symbol == "in":
        return _contained(left, symbol, right)
    if symbol == "not in":
        return ~_contained(left, symbol, right)
    if "None" in (left.kind, right.kind):
        return _missing(left, symbol, right)
    if left.expr is None:
        return _ordered(right, _MIRRORED[symbol], left)
    return _ordered(left, symbol, right)


def _compare(left: pl.Expr, symbol: str, right: pl.Expr) -> pl.Expr:
    compared: pl.Expr = _COMPARE[symbol](left, right)
    return compared


def _missing(left: _Operand, symbol: str, right: _Operand) -> pl.Expr:
    expr = left.expr if left.expr is not None else right.expr
    assert expr is not None
    if symbol in ("is", "=="):
        return expr.is_null()
    if symbol in ("is not", "!="):
        return expr.is_not_null()
    raise _misfit(left, symbol, right, "only ==, !=, is and is not go with None")


def _ordered(left: _Operand, symbol: str, right: _Operand) -> pl.Expr:
    """A column or condition on the left, of a simple kind; a column, a condition or a literal on the right."""
    assert left.expr is not None
    if right.kind == "list":
        raise _misfit(left, symbol, right, "use 'in' with a list")
    if left.kind.startswith("list of"):
        raise _misfit(left, symbol, right, "ask what is in it: 'value' in column")
    if left.kind == "boolean" and symbol not in ("==", "!="):
        raise _misfit(left, symbol, right, "only == and != go with truth values")
    if right.expr is not None:
        if left.kind != right.kind or left.kind == "unsupported":
            raise _misfit(left, symbol, right)
        return _compare(left.expr, symbol, right.expr)
    value = _fitted(left, symbol, right)
    if isinstance(value, int | float) and left.kind == "number":
        return _with_number(left, symbol, value)
    return _compare(left.expr, symbol, pl.lit(value))


def _fitted(column: _Operand, symbol: str, literal: _Operand) -> Any:
    """The literal's value in the column's kind."""
    if column.kind == "date" and literal.kind == "text":
        return _moment(literal)
    if column.kind == "unsupported" or column.kind != literal.kind:
        raise _misfit(column, symbol, literal)
    return literal.value


def _moment(literal: _Operand) -> datetime:
    """A date or time in ISO 8601 as a naive datetime in UTC."""
    try:
        moment = datetime.fromisoformat(literal.value)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise QueryError(
            f"where, position {literal.position}: {literal.label} is not a date; write '1995-01-31' or "
            "'1995-01-31T18:30:00'"
        ) from None


def _with_number(column: _Operand, symbol: str, value: float) -> pl.Expr:
    """A number column against a number: exact for integers, in the column's precision for floats."""
    expr, dtype = column.expr, column.dtype
    assert expr is not None
    assert dtype is not None
    if not dtype.is_integer():
        rounded = pl.lit(float(value), dtype=pl.Float64)
        return _compare(expr, symbol, rounded.cast(dtype) if dtype.is_float() else rounded)
    if value != math.floor(value):  # no integer equals it; those below it are those at most its floor
        if symbol in ("==", "!="):
            return _where_known(expr, symbol == "!=")
        symbol = "<=" if symbol in ("<", "<=") else ">"
    whole = math.floor(value)
    common = _common_type(dtype)
    if whole in _INT64 or common == pl.Int128:
        limit = max(min(whole, 2**126), -(2**126))
        return _compare(expr, symbol, pl.lit(limit, dtype=common))
    return _where_known(expr, _COMPARE[symbol](0, whole))


def _where_known(expr: pl.Expr, value: bool) -> pl.Expr:
    """The same truth value wherever the expression is not null."""
    return pl.when(expr.is_not_null()).then(pl.lit(value))


def _contained(left: _Operand, symbol: str, right: _Operand) -> pl.Expr:
    """``left in right``: a value in a list of literals, a text in a text column, a value in a list column."""
    if right.kind == "list":
        return _among(left, symbol, right)
    if right.expr is None:
        raise _misfit(left, symbol, right, "on the right of 'in' goes a list, a text column or a list column")
    if left.kind == "text" and right.kind == "text":
        part = left.expr if left.expr is not None else pl.lit(left.value)
        return right.expr.str.contains(part, literal=True)
    if right.kind == f"list of {left.kind}":
        return _in_list_column(left, right)
    raise _misfit(left, symbol, right)


def _among(left: _Operand, symbol: str, right: _Operand) -> pl.Expr:
    assert left.expr is not None
    for element in right.value:
        if element.kind == "None":
            raise _misfit(left, symbol, element, "None cannot be in a list; add 'or ... is None'")
    if left.kind.startswith("list of"):
        raise _misfit(left, symbol, right, "ask what is in it: 'value' in column")
    if left.kind == "unsupported":
        raise _misfit(left, symbol, right)
    if not right.value:
        return _where_known(left.expr, False)
    return pl.any_horizontal([_ordered(left, "==", element) for element in right.value])


def _in_list_column(left: _Operand, right: _Operand) -> pl.Expr:
    assert right.expr is not None
    inner = right.dtype.inner  # type: ignore[union-attr]
    haystack, common = right.expr, _common_type(inner)
    if left.expr is None:
        value = left.value
        if inner.is_integer():
            if value != math.floor(value) or not -(2**63) <= value < 2**64:
                return _where_known(haystack, False)
            value, common = math.floor(value), pl.Int128
        return haystack.cast(pl.List(common)).list.contains(pl.lit(value, dtype=common))
    if inner.is_integer() and left.dtype is not None and not left.dtype.is_integer():
        common = pl.Float64
    needle = left.expr.cast(common, strict=False)  # null where the list's type cannot hold it: then it is not in there
    contained = haystack.cast(pl.List(common)).list.contains(needle)
    known = pl.when(needle.is_not_null()).then(contained).otherwise(_where_known(haystack, False))
    return pl.when(left.expr.is_not_null()).then(known)
