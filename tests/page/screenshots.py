"""The pictures in the README, of invented films: python tests/page/screenshots.py [FOLDER]"""

import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "serving")]
PICTURES = {"page-explore": ("#/explore?user=24&k=5", 940), "page-quality": ("#/quality", 900)}


def main(folder: Path) -> None:
    from conftest import CHROMIUM, Tab
    from invented import films, small_model
    from playwright.sync_api import sync_playwright
    from running_server import serving

    from shortlist.data.split import split
    from shortlist.evaluation.protocol import evaluate
    from shortlist.reports import KeptReport, keep_report

    folder.mkdir(parents=True, exist_ok=True)
    parts = split(films(), "time")
    with tempfile.TemporaryDirectory() as place:
        model = small_model(parts.train, ranking={"shifts": 3, "ranker": "trees", "trees": {"max_trees": 60}})
        version = model.save(Path(place) / "model").name
        report = evaluate(model, parts.train, parts.test, protocol="time").to_dict()
        keep_report(Path(place) / "model", KeptReport(version, "this version", True, report))
        with (
            serving(Path(place) / "model", Path(place) / "log", "--deadline-ms", "20000") as server,
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
        ):
            for name, (view, height) in PICTURES.items():
                tab = Tab(browser.new_page(viewport={"width": 1280, "height": height}), server.address)
                tab.go(view).wait_for_timeout(2_000)
                tab.page.screenshot(path=folder / f"{name}.png")
                print(folder / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/images"))
