"""The rules that answers follow: a file, read again whenever it changes."""

import os
import threading
import time
from pathlib import Path

from shortlist.cascade import Cascade
from shortlist.errors import RulesError
from shortlist.rules.parsing import Rules, read_rules
from shortlist.serving.logs import log_line
from shortlist.serving.metrics import Metrics

Stamp = tuple[int, int, int]


class RulesFile:
    """Holds the last good rules of a file.

    Args:
        path: the file; ``None`` = there are no rules.

    Attributes:
        rules: what answers follow.
        read_at: when they were read, Unix seconds.
        refused: why the file as it is now is not followed; ``None`` = it is.

    Raises:
        RulesError: the file cannot be read, or is no file of rules; a server does not start on it.
    """

    def __init__(self, path: Path | None, metrics: Metrics) -> None:
        self.path, self.metrics = path, metrics
        self._lock = threading.Lock()
        self._stamp = self._seen = self._stamp_now()
        self.rules = Rules.parse("") if path is None else read_rules(path)
        self.read_at = time.time()
        self.refused: str | None = None
        self._left_out: list[str] = []

    def changed(self) -> bool:
        """Whether the file is another one than when it was last read, and was the same when last asked.

        So a file is not read while it is being written.
        """
        now = self._stamp_now()
        settled, self._seen = now == self._seen, now
        return settled and now != self._stamp

    def follow(self, model: Cascade) -> bool:
        """Read the file; whether there are new rules. Those that the model cannot follow are refused as a whole.

        The last good ones then go on.
        """
        if self.path is None:
            return False
        with self._lock:
            self._stamp = self._stamp_now()
            try:
                rules = read_rules(self.path)
                model.bound_rules(rules).require_all()
            except RulesError as error:
                self.refused = str(error)
                self.metrics.rules.labels("refused").inc()
                log_line("rules refused", version=self.rules.version, reason=self.refused)
                return False
            self.refused = None
            if rules.version == self.rules.version:
                return False
            self.rules, self.read_at = rules, time.time()
            self._told()
        self.fit(model)
        return True

    def start(self, model: Cascade) -> None:
        """Before the first answer.

        Raises:
            RulesError: the model cannot follow a rule.
        """
        if self.path is not None:
            model.bound_rules(self.rules).require_all()
            self._told()

    def fit(self, model: Cascade) -> None:
        """Work out what the rules mean for a model, before anybody waits for it, and say which do not fit it.

        A rule with a condition that the model cannot follow is left out: the others go on.
        """
        if self.path is None:
            return
        if self.refused is not None and self.follow(model):  # what one model cannot follow another one may
            return
        bound = model.bound_rules(self.rules)
        left_out = [finding.told(self.rules.origin) for finding in bound.checked if finding.level == "error"]
        self.metrics.rules_left_out.set(len(left_out))
        if left_out != self._left_out:
            log_line("rules left out", version=self.rules.version, reasons=left_out)
        self._left_out = left_out

    def _told(self) -> None:
        self.metrics.rules.labels("followed").inc()
        log_line("rules followed", version=self.rules.version, rules=len(self.rules))

    def _stamp_now(self) -> Stamp | None:
        if self.path is None:
            return None
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
