"""Rules: what an editor has laid down for the answers."""

import asyncio
import time
from datetime import UTC, datetime

from shortlist.serving.calls import Call
from shortlist.serving.routes import Route
from shortlist.serving.schemas import RuleFinding, RuleInfo, RulesInfo
from shortlist.serving.service import Service


async def rules(service: Service, call: Call) -> RulesInfo:
    """The rules that answers follow now, and what is to be said of them."""
    bundle, live = service.bundle, service.rules
    call.version = bundle.version
    bound = await asyncio.to_thread(bundle.model.bound_rules, live.rules)
    now = time.time()
    followed = {one.rule.name: one for one in bound.bound}
    return RulesInfo(
        following=live.path is not None,
        text=live.rules.text,
        version=live.rules.version,
        read_at=datetime.fromtimestamp(live.read_at, UTC).isoformat(timespec="seconds"),
        rules=[
            RuleInfo(
                rule.name,
                rule.kind,
                rule.lines[""],
                "left out" if rule.name not in followed else rule.phase(now),
                int(followed[rule.name].items.sum()) if rule.name in followed else 0,
            )
            for rule in live.rules.rules
        ],
        findings=[
            RuleFinding(finding.line, finding.level, finding.rule or None, finding.message)
            for finding in bound.findings(now)
        ],
        refused=live.refused,
    )


ROUTES = (Route("GET", "/v1/rules", rules, "The rules that answers follow", RulesInfo),)
