"""A process that writes until it is killed: python writing_process.py URL PREFIX

It prints one line ``ready``, then one line per acknowledged call: ``event ID``, ``item VERSION`` or ``deleted USER``.
"""

import os
import random
import sys
import threading

from shortlist.serving.store.contract import Event
from shortlist.serving.store.opening import open_store

N_CLIENTS = 6


def say(lines):
    os.write(1, "".join(f"{line}\n" for line in lines).encode())  # one call: lines of two threads do not mix


def client(store, prefix, number):
    draw = random.Random(number)
    sent = []
    n = 0
    while True:
        batch = [
            Event(
                id=f"{prefix}-{number}-{n + k}", user_id=draw.randrange(50), item_id=draw.randrange(20), timestamp=n + k
            )
            for k in range(draw.choice([1, 1, 5, 40]))
        ]
        n += len(batch)
        again = draw.sample(sent, min(len(sent), 3))
        outcomes = store.append(batch + again)
        assert [outcome.status for outcome in outcomes] == ["stored"] * len(batch) + ["duplicate"] * len(again)
        say(f"event {event.id}" for event in batch)
        sent += batch
        if number == 0 and draw.random() < 0.1:
            say([f"item {store.put_item(draw.randrange(20), {'n': n}).version}"])


def main():
    store = open_store(sys.argv[1])
    say(["ready"])
    for number in range(N_CLIENTS):
        threading.Thread(target=client, args=(store, sys.argv[2], number)).start()


if __name__ == "__main__":
    main()
