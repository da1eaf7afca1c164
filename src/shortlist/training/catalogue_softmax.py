"""The softmax loss over a whole catalogue, or a sample of it, in blocks that fit the cache."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from shortlist.errors import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = require("torch", "train", "Fitting a neural model")
    Tensor = torch.Tensor

BLOCK_CELLS = 2**21
"""Logits held at once: 8 MB."""


@dataclass(frozen=True)
class Pairs:
    """Items that are no negatives of a row: pairs (row, item), the rows not decreasing.

    Attributes:
        rows, items: int64 (n_pairs,).
    """

    rows: Tensor
    items: Tensor


def catalogue_softmax(
    queries: Tensor,
    item_vectors: Tensor,
    item_biases: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    log_q: Tensor | None = None,
    excluded: Pairs | None = None,
) -> Tensor:
    """Σ_r w_r (log(exp(s_rt) + Σ_v exp(s_rv − log q_v)) − s_rt) with s_rv = x_r · y_v + b_v, and t the row's target.

    The inner sum is over the items that are neither the target nor excluded. Over a sample that holds item v with the
    probability q_v it estimates the sum over the catalogue without bias (Horvitz and Thompson 1952).

    Args:
        queries: (n, d), the x.
        item_vectors: (n_items, d), the y.
        item_biases: (n_items,), the b.
        targets: int64 (n,), in [0, n_items).
        weights: (n,), the w.
        log_q: (n_items,); ``None`` = the items are the catalogue, all q are 1.
        excluded: a row's target counts even where it is among them.

    Returns:
        The loss, no shape. Its gradient is computed along with it, block by block, so that the logits are never held
        all at once; it is the gradient of these inputs alone (not differentiable twice).

    >>> x, y, b, one = torch.zeros(1, 2), torch.zeros(3, 2), torch.zeros(3), torch.ones(1)
    >>> round(float(catalogue_softmax(x, y, b, torch.tensor([2]), one).exp()), 3)
    3.0
    >>> without = Pairs(torch.tensor([0]), torch.tensor([1]))
    >>> round(float(catalogue_softmax(x, y, b, torch.tensor([2]), one, excluded=without).exp()), 3)
    2.0
    """
    loss: Tensor = _CatalogueSoftmax.apply(  # type: ignore[no-untyped-call]
        queries, item_vectors, item_biases, targets, weights, log_q, excluded
    )
    return loss


class _CatalogueSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        item_vectors: Tensor,
        item_biases: Tensor,
        targets: Tensor,
        weights: Tensor,
        log_q: Tensor | None,
        excluded: Pairs | None,
    ) -> Tensor:
        shifts = item_biases if log_q is None else item_biases - log_q  # (n_items,)
        query_gradients = torch.empty_like(queries)
        item_gradients, bias_gradients = torch.zeros_like(item_vectors), torch.zeros_like(item_biases)
        size = max(1, BLOCK_CELLS // len(item_vectors))
        edges = [*range(0, len(queries), size), len(queries)]
        bounds = [] if excluded is None else torch.searchsorted(excluded.rows, torch.tensor(edges)).tolist()
        logits = queries.new_empty(min(size, len(queries)), len(item_vectors))
        loss = 0.0
        for block, (start, stop) in enumerate(pairwise(edges)):
            x, own, w = queries[start:stop], targets[start:stop, None], weights[start:stop, None]
            s = torch.mm(x, item_vectors.T, out=logits[: stop - start]).add_(shifts)  # (n, n_items)
            own_logits = s.gather(1, own)  # (n, 1)
            if log_q is not None:
                own_logits += log_q[own]
            if excluded is not None:
                pairs = slice(bounds[block], bounds[block + 1])
                s[excluded.rows[pairs] - start, excluded.items[pairs]] = -torch.inf
            s.scatter_(1, own, own_logits)
            greatest = s.amax(dim=1, keepdim=True)
            sums = s.sub_(greatest).exp_().sum(dim=1, keepdim=True)  # (n, 1)
            loss += float(((sums.log() + greatest - own_logits) * w).sum())
            s.mul_(w / sums).scatter_add_(1, own, -w)
            torch.mm(s, item_vectors, out=query_gradients[start:stop])
            item_gradients.addmm_(s.T, x)
            bias_gradients += s.sum(dim=0)
        ctx.save_for_backward(query_gradients, item_gradients, bias_gradients)
        return queries.new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        queries, items, biases = ctx.saved_tensors
        return queries * upstream, items * upstream, biases * upstream, None, None, None, None
