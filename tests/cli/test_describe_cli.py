import json

from shortlist.cli.console import read_data
from shortlist.data.description.describe import describe


def test_a_table_and_the_same_as_json(run, files):
    arguments = ("data", "describe", files / "log.csv", "--items", files / "items.csv")
    dataset = read_data(str(files / "log.csv"), files / "items.csv", None, None, None)
    table = run(*arguments)
    assert table.code == 0, table.err
    assert table.out.rstrip() == describe(dataset).table().rstrip()
    assert "what fits" in table.out
    assert not table.err
    document = json.loads(run(*arguments, "--json").out)
    assert document == json.loads(json.dumps(describe(dataset).to_dict()))
    assert document["suggestion"]["target"] in ("window", "next", "random")


def test_columns_of_other_names(run, tmp_path):
    (tmp_path / "log.csv").write_text("customer,sku\n1,a\n1,b\n")
    asked = ("data", "describe", tmp_path / "log.csv", "--column", "user_id=customer")
    assert run(*asked).code == 1
    found = json.loads(run(*asked, "--column", "item_id=sku", "--json").out)
    assert found["sizes"]["interactions"] == 2
    assert found["cold_start"] is None


def test_no_such_file(run, tmp_path):
    done = run("data", "describe", tmp_path / "none.csv")
    assert done.code == 1
    assert "no such file" in done.err
