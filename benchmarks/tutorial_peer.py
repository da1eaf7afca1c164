"""The tutorial's models in TensorFlow Recommenders: the half of ``tutorial.py`` that runs in the peer's environment.

    python tutorial_peer.py TASK ROWS [--options JSON]

``tutorial.py`` starts it and reads the last line of its output, which is JSON. ROWS is the file of rows that it wrote.
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
from tutorial_clock import Clock, answer_times, laps_of

DIMENSION = 32
LEARNING_RATE = 0.1
BATCH = 8192
EVALUATED_AT_ONCE = 4096
CANDIDATES_AT_ONCE = 128
TEXT = tf.TensorSpec([None], tf.string)


class Rows:
    """The rows as the tutorial has them: user ids and titles as text."""

    def __init__(self, path):
        arrays = np.load(path)
        self.user_ids, self.titles = arrays["user_ids"].astype(str), arrays["titles"]
        self.user_rows, self.item_rows, self.ratings = (arrays[name] for name in ("user_rows", "item_rows", "ratings"))

    def dataset(self, start, stop):
        return tf.data.Dataset.from_tensor_slices(
            {
                "user_id": self.user_ids[self.user_rows[start:stop]],
                "title": self.titles[self.item_rows[start:stop]],
                "rating": self.ratings[start:stop],
            }
        )

    def training(self, stop, batch, seed):
        return self.dataset(0, stop).shuffle(100_000, seed=seed).batch(batch).cache()

    def held_out(self, start, stop):
        return self.dataset(start, stop).batch(EVALUATED_AT_ONCE).cache()

    def catalogue(self, at_once):
        return tf.data.Dataset.from_tensor_slices(self.titles).batch(at_once)


def tower(ids):
    lookup = tf.keras.layers.StringLookup(vocabulary=ids, mask_token=None)
    return tf.keras.Sequential([lookup, tf.keras.layers.Embedding(len(ids) + 1, DIMENSION)])


class Retrieval(tfrs.Model):
    def __init__(self, rows, metrics_in_training):
        super().__init__()
        self.user_model, self.title_model = tower(rows.user_ids), tower(rows.titles)
        candidates = rows.catalogue(CANDIDATES_AT_ONCE).map(self.title_model)
        self.task = tfrs.tasks.Retrieval(metrics=tfrs.metrics.FactorizedTopK(candidates=candidates))
        self.metrics_in_training = metrics_in_training

    def compute_loss(self, features, training=False):
        return self.task(
            self.user_model(features["user_id"]),
            self.title_model(features["title"]),
            compute_metrics=self.metrics_in_training or not training,
        )


class Ranking(tfrs.Model):
    def __init__(self, rows):
        super().__init__()
        self.user_model, self.title_model = tower(rows.user_ids), tower(rows.titles)
        dense = tf.keras.layers.Dense
        self.layers_above = tf.keras.Sequential([dense(256, activation="relu"), dense(64, activation="relu"), dense(1)])
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(), metrics=[tf.keras.metrics.RootMeanSquaredError()]
        )

    def call(self, features):
        vectors = [self.user_model(features["user_id"]), self.title_model(features["title"])]
        return self.layers_above(tf.concat(vectors, axis=1))

    def compute_loss(self, features, training=False):
        return self.task(labels=features["rating"], predictions=self(features))


def compiled(model, learning_rate=LEARNING_RATE):
    model.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate))
    return model


class Laps(tf.keras.callbacks.Callback):
    """What each epoch took."""

    def __init__(self):
        super().__init__()
        self.laps, self.clock = [], Clock()

    def on_epoch_end(self, epoch, logs=None):
        self.laps.append(self.clock.lap())


def retrieval(rows, *, seed, train_rows, epochs, metrics_in_training, repeats, vectors=None):
    """Fit, evaluate the rows behind the training rows, and leave the vectors in a file, if one is named.

    ``laps`` has what each epoch took: the first one with the tracing of the graph. The three evaluations are the
    tutorial's ``evaluate`` (the loss of the test rows included); the metric alone; the metric alone over a
    brute-force index, which the tutorial does not use.
    """
    model = compiled(Retrieval(rows, metrics_in_training))
    test = rows.held_out(train_rows, len(rows.ratings))
    laps = Laps()
    training = rows.training(train_rows, BATCH, seed)
    model.fit(training, epochs=epochs, verbose=0, callbacks=[laps])
    result = {"laps": laps.laps}
    found = model.evaluate(test, return_dict=True, verbose=0)
    result["accuracy"] = {name.split("_")[-3]: value for name, value in found.items() if "categorical" in name}
    brute_force = tfrs.layers.factorized_top_k.BruteForce(k=100)
    brute_force.index_from_dataset(rows.catalogue(CANDIDATES_AT_ONCE).map(model.title_model))
    evaluations = {
        "evaluate": lambda: model.evaluate(test, verbose=0),
        "metric": metric_alone(model, test, model.task.factorized_metrics[0]),
        "brute_force_metric": metric_alone(model, test, tfrs.metrics.FactorizedTopK(candidates=brute_force)),
    }
    result["evaluations"] = {name: laps_of(call, repeats) for name, call in evaluations.items() if repeats}
    if vectors:
        towers = {"users": (model.user_model, rows.user_ids), "items": (model.title_model, rows.titles)}
        np.savez(vectors, **{name: one(tf.constant(ids)).numpy() for name, (one, ids) in towers.items()})
    return result


def metric_alone(model, test, metric):
    @tf.function
    def update(batch):
        metric.update_state(model.user_model(batch["user_id"]), model.title_model(batch["title"]))

    def evaluate():
        metric.reset_states()
        for batch in test:
            update(batch)
        return [float(value) for value in metric.result()]

    return evaluate


def ranking(rows, *, seed, fitted_rows, train_rows, batch_size, learning_rate, target, epochs):
    """Fit epoch by epoch until the RMSE on the validation rows is at most the target, or the epochs are used up."""
    model = compiled(Ranking(rows), learning_rate)
    training = rows.training(fitted_rows, batch_size, seed)
    validation = rows.held_out(fitted_rows, train_rows)
    laps, errors = [], []
    while len(laps) < epochs and not (errors and errors[-1] <= target):
        clock = Clock()
        model.fit(training, verbose=0)
        laps.append(clock.lap())
        errors.append(model.evaluate(validation, return_dict=True, verbose=0)["root_mean_squared_error"])
    return {"laps": laps, "rmse": errors}


def answers(rows, *, seed, train_rows, calls, slow_calls, k):
    """One user's k titles from both stages, each user in turn, in four ways; milliseconds.

    Both models are fitted for one epoch only: the time does not depend on the weights.
    """
    first, second = compiled(Retrieval(rows, False)), compiled(Ranking(rows))
    for model in (first, second):
        model.fit(rows.training(train_rows, BATCH, seed), verbose=0)
    index = tfrs.layers.factorized_top_k.BruteForce(first.user_model, k=k)
    titles = rows.catalogue(100)
    index.index_from_dataset(tf.data.Dataset.zip((titles, titles.map(first.title_model))))

    def title_by_title(user):
        """As the tutorial does: the index, then one prediction per title."""
        _, best = index(tf.constant([user]))
        users = tf.constant([user])
        predicted = {
            title: float(second({"user_id": users, "title": tf.constant([title])})[0, 0]) for title in best[0].numpy()
        }
        return sorted(predicted.items(), key=lambda pair: -pair[1])

    def batched(user):
        """The same, with one prediction for all titles."""
        _, best = index(tf.constant([user]))
        predicted = second({"user_id": tf.repeat(user, k), "title": best[0]})[:, 0]
        return sorted(zip(best[0].numpy().tolist(), predicted.numpy().tolist(), strict=True), key=lambda p: -p[1])

    index_graph = tf.function(lambda users: index(users), input_signature=[TEXT])
    rating_graph = tf.function(
        lambda users, titles: second({"user_id": users, "title": titles}), input_signature=[TEXT] * 2
    )

    def two_graphs(user):
        """Each stage compiled."""
        _, best = index_graph(tf.constant([user]))
        predicted = rating_graph(tf.repeat(user, k), best[0])[:, 0]
        return sorted(zip(best[0].numpy().tolist(), predicted.numpy().tolist(), strict=True), key=lambda p: -p[1])

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def both(user):
        _, best = index(user[None])
        predicted = second({"user_id": tf.repeat(user, k), "title": best[0]})[:, 0]
        order = tf.argsort(predicted, direction="DESCENDING")
        return tf.gather(best[0], order), tf.gather(predicted, order)

    def one_graph(user):
        """Both stages and the sorting written as one graph."""
        best, predicted = both(tf.constant(user))
        return list(zip(best.numpy().tolist(), predicted.numpy().tolist(), strict=True))

    ways = {title_by_title: slow_calls, batched: calls, two_graphs: calls, one_graph: calls}
    return {way.__name__: answer_times(way, rows.user_ids.tolist(), n) for way, n in ways.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["retrieval", "ranking", "answers"])
    parser.add_argument("rows")
    parser.add_argument("--options", type=json.loads, default={})
    arguments = parser.parse_args()
    task = {"retrieval": retrieval, "ranking": ranking, "answers": answers}[arguments.task]
    tf.random.set_seed(arguments.options["seed"])
    result = task(Rows(arguments.rows), **arguments.options)
    print(json.dumps({**result, "versions": {"tensorflow": tf.__version__, "tfrs": tfrs.__version__}}))


if __name__ == "__main__":
    main()
