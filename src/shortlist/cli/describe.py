"""``shortlist data describe``: what is in a log."""

from shortlist.cli.console import (
    ColumnOption,
    DataArgument,
    FromOption,
    ItemsOption,
    JsonFlag,
    UsersOption,
    read_data,
    show,
    show_json,
)


def describe(
    data: DataArgument,
    items: ItemsOption = None,
    users: UsersOption = None,
    column: ColumnOption = None,
    folder: FromOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what is in a log: sizes, long tail, times, repeats, ratings, attributes, and which target fits."""
    from shortlist.data.description.describe import describe as look

    found = look(read_data(data, items, users, column, folder))
    if as_json:
        show_json(found.to_dict())
    else:
        show(found.table())
