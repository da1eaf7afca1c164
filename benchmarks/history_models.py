"""The models that read histories, epoch by epoch, on a validation part of MovieLens; the test part stays unread.

    python benchmarks/history_models.py --data FOLDER history_tower
    python benchmarks/history_models.py --data FOLDER --protocol random history_tower weight_decay=1.0 max_length=400
    python benchmarks/history_models.py --data FOLDER --movielens 1m --every 3 sequence averaging=0.995

`next`: the last event of each user's training part is held out (on MovieLens 100K the last three, one after the other);
`random`: a tenth of the training rows. Full catalogue, seen items removed. CPU seconds are those of the fit alone. The
figures are those of each epoch: the best one is a little high, for it was chosen by them.
"""

import argparse
import json
import time
from collections.abc import Iterator

import msgspec
import numpy as np
import scipy.sparse as sp

import shortlist as sl
from shortlist.config import RetrievalSettings
from shortlist.data.log import Log
from shortlist.evaluation.lists import Relevant
from shortlist.evaluation.metrics import hit_rate_at_k, mean_over_users, ndcg_at_k
from shortlist.retrieval.content import AttributeColumns
from shortlist.retrieval.encoder import HistoryEncoder
from shortlist.stages import Queries, stored_queries
from shortlist.training.history_fit import Fit
from shortlist.training.ranking.rating_features import attribute_groups
from shortlist.training.retrieval.content import MOST_VALUES
from shortlist.training.retrieval.history_tower import Towers
from shortlist.training.retrieval.sequence import Transformer
from shortlist.training.shifts import ask_at_last_event

Asked = list[tuple[Queries, Relevant]]


def asked_in_turn(log: Log, steps: range) -> Iterator[tuple[Queries, Relevant]]:
    """Each user's last events, one step after the other, each foretold from all before it."""
    positions = log.positions_from_end
    for step in steps:
        target = log.take(positions == step - 1)
        target = target.take(np.argsort(target.user_rows))
        queries = ask_at_last_event(log.take(positions >= step), target.user_rows)
        yield queries, Relevant.from_pairs(np.arange(len(queries)), target.item_rows.astype(np.int64), len(queries))


def asked_at_once(rest: Log, held_out: Log) -> tuple[Queries, Relevant]:
    users, rows = np.unique(held_out.user_rows, return_inverse=True)
    queries = stored_queries(rest, users, np.full(len(users), rest.end), strictly_before=False)
    return queries, Relevant.from_pairs(rows, held_out.item_rows.astype(np.int64), len(users))


def figures(source: HistoryEncoder, asked: Asked) -> dict[str, float]:
    """NDCG@10 and HR@10 of the source's own lists, and the share of the held-out items among the first 100."""
    ndcg, hits, found, n = [], [], 0, 0
    for queries, relevant in asked:
        ranked = np.full((len(queries), 100), -1, dtype=np.int32)
        for start, block in queries.blocks(256):
            allowed = np.ones((len(block), len(source.known_items)), dtype=bool)
            allowed[block.event_queries, block.item_rows] = False
            for q, items in enumerate(source.propose(block, 100, allowed), start=start):
                ranked[q, : len(items)] = items
        ndcg.append(ndcg_at_k(ranked, relevant, 10))
        hits.append(hit_rate_at_k(ranked, relevant, 10))
        pairs = np.repeat(np.arange(len(relevant)), relevant.counts)
        found += int((ranked[pairs] == relevant.item_rows[:, None]).any(axis=1).sum())
        n += len(pairs)
    means = [mean_over_users(np.concatenate(values)).mean for values in (ndcg, hits)]
    return {"ndcg": round(means[0], 4), "hit_rate": round(means[1], 4), "found_in_100": round(found / n, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--movielens", default="100k")
    parser.add_argument("--protocol", choices=("next", "random"), default="next")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="epochs between two looks at the validation part")
    parser.add_argument("model", choices=("history_tower", "sequence"))
    parser.add_argument("settings", nargs="*", help="NAME=VALUE")
    arguments = parser.parse_args()
    train, _ = sl.split(sl.movielens(arguments.movielens, arguments.data), arguments.protocol)
    log, ordered = train.log(), arguments.protocol == "next"
    if ordered:
        steps = range(3 if arguments.movielens == "100k" else 1, 0, -1)
        rest, asked = log.take(log.positions_from_end >= steps[0]), list(asked_in_turn(log, steps))
    else:
        mask = np.random.default_rng(7).random(len(log)) < 0.1
        rest, asked = log.take(~mask), [asked_at_once(log.take(~mask), log.take(mask))]
    changes = {name: json.loads(value) for name, value in (setting.split("=") for setting in arguments.settings)}
    defaults = getattr(RetrievalSettings(), arguments.model)
    settings = msgspec.convert(msgspec.to_builtins(defaults) | changes, type(defaults))
    if arguments.model == "sequence":
        model = Transformer(rest, settings, arguments.seed, "sequence")
    else:
        columns = AttributeColumns.of(train.items, MOST_VALUES).matrix(train.items)
        users = sp.hstack(attribute_groups(train.users, "user_id"), format="csr")
        model = Towers(rest, settings, arguments.seed, "history_tower", columns, users, ordered)
    fit = Fit(model, rest, settings, arguments.seed, ordered=ordered, unseen_only=True)
    seconds, best, best_epoch = 0.0, -1.0, 0
    for epoch in range(1, fit.epochs + 1):
        started = time.process_time()
        fit.run_epoch()
        seconds += time.process_time() - started
        if epoch % arguments.every == 0:
            found = figures(fit.encoder(), asked)
            print(json.dumps({"epoch": epoch, "cpu_seconds": round(seconds, 1)} | found), flush=True)
            if found["ndcg"] > best:
                best, best_epoch = found["ndcg"], epoch
            elif epoch - best_epoch >= settings.patience * arguments.every:
                break


if __name__ == "__main__":
    main()
