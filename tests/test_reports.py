"""Reports kept beside a model."""

import pytest

import quick_models
from shortlist.errors import ArtifactError
from shortlist.reports import KeptReport, keep_report, kept_report
from shortlist.saving import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    quick_models.fit().save(folder)
    return folder


def test_a_report_is_kept_and_read_again(folder):
    version = load(folder).digest[:16]
    assert kept_report(folder, version) is None
    kept = KeptReport(version, "this version", True, {"verdict": "Better"})
    keep_report(folder, kept)
    assert kept_report(folder, version) == kept
    assert kept_report(folder / version, version) == kept  # a server that was given one version
    keep_report(folder, KeptReport(version, "another", False, {}))
    assert kept_report(folder, version).judged == "another"
    assert load(folder).digest[:16] == version  # the model does not mind


def test_reports_of_versions_that_are_gone_go(folder):
    version = load(folder).digest[:16]
    old = folder / "reports" / "0123456789abcdef.json"
    old.parent.mkdir(exist_ok=True)
    old.write_text("{}")
    keep_report(folder, KeptReport(version, "", True, {}))
    assert not old.exists()


@pytest.mark.parametrize("version", ["0123456789abcdef", "..", "../x", ""])
def test_there_is_no_report_of_a_version_that_is_not_there(folder, version):
    assert kept_report(folder, version) is None
    with pytest.raises(ArtifactError, match="has no version"):
        keep_report(folder, KeptReport(version, "", True, {}))


def test_a_damaged_report_is_refused(folder):
    version = load(folder).digest[:16]
    path = keep_report(folder, KeptReport(version, "", True, {}))
    path.write_bytes(b'{"version": "\xff')
    with pytest.raises(ArtifactError, match="cannot be read as a report"):
        kept_report(folder, version)
    path.unlink()
