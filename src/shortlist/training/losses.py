"""Softmax losses over the distinct users and items of a batch."""

from typing import TYPE_CHECKING, Any

from shortlist.errors import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = require("torch", "train", "Fitting a neural model")
    Tensor = torch.Tensor


def logits(
    user_vectors: Tensor,
    item_vectors: Tensor,
    item_biases: Tensor | None = None,
    *,
    log_q: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """s_uv = (x_u · y_v + b_v) / T − log q_v, for every user u and item v.

    Args:
        user_vectors: (n_users, d), the x_u.
        item_vectors: (n_items, d), the y_v.
        item_biases: (n_items,), the b_v; ``None`` = 0.
        log_q: (n_items,), log of the probability that an item is drawn into a batch; ``None`` = no correction.
        temperature: T, above 0.

    Returns:
        (n_users, n_items).
    """
    scores = user_vectors @ item_vectors.T  # (n_users, n_items)
    if item_biases is not None:
        scores = scores + item_biases
    if temperature != 1:
        scores = scores / temperature
    return scores if log_q is None else scores - log_q


def in_batch_softmax(
    user_vectors: Tensor,
    item_vectors: Tensor,
    item_biases: Tensor | None,
    pair_users: Tensor,
    pair_items: Tensor,
    *,
    log_q: Tensor | None = None,
    temperature: float = 1.0,
    remove_accidental_hits: bool = False,
) -> Tensor:
    """The in-batch softmax loss, summed over the rows of the batch, without its repetitions.

    Each row (u, i) of the batch is told apart from the items of all rows. With c_v rows holding item v, its loss is
    exactly

        log Σ_v c_v exp(s_uv) − s_ui

    over the *distinct* items v. Without accidental hits, the other c_i − 1 rows that hold i are no negatives of it:

        log(Σ_v c_v exp(s_uv) − (c_i − 1) exp(s_ui)) − s_ui

    One row of logits per distinct user is all that either needs.

    Args:
        user_vectors: (U, d), the batch's distinct users.
        item_vectors: (V, d), the batch's distinct items: each is in some row.
        item_biases: (V,) or ``None``.
        pair_users: int64 (B,), each row's user, in [0, U).
        pair_items: int64 (B,), each row's item, in [0, V).
        log_q: (V,), log of each item's sampling probability (the logQ correction of Yi et al. 2019,
            doi:10.1145/3298689.3346996), or ``None``.
        temperature: the scores are divided by it; above 0.
        remove_accidental_hits: see above.

    Returns:
        The loss, float64, no shape.

    >>> users, items = torch.zeros(1, 2), torch.zeros(2, 2)
    >>> rows = {"pair_users": torch.tensor([0, 0, 0]), "pair_items": torch.tensor([0, 0, 1])}
    >>> round(float(in_batch_softmax(users, items, None, **rows).exp()), 3)  # 3 · 3 · 3
    27.0
    >>> round(float(in_batch_softmax(users, items, None, **rows, remove_accidental_hits=True).exp()), 3)  # 2 · 2 · 3
    12.0
    """
    s = logits(user_vectors, item_vectors, item_biases, log_q=log_q, temperature=temperature)  # (U, V)
    loss: Tensor = _InBatchSoftmax.apply(s, pair_users, pair_items, remove_accidental_hits)  # type: ignore[no-untyped-call]
    return loss


class _InBatchSoftmax(torch.autograd.Function):
    """The loss of given logits. Its gradient is written out: torch's own takes three times as long.

    With D_r the sum in the logarithm of row r, the gradient of s_uv is c_v exp(s_uv) Σ_r 1 / D_r over the rows of u,
    less 1 for each row (u, v), and (without accidental hits) less (c_v − 1) exp(s_uv) / D_r for each. Exponentials are
    taken relative to the greatest of their user.
    """

    @staticmethod
    def forward(ctx: Any, s: Tensor, pair_users: Tensor, pair_items: Tensor, remove_accidental_hits: bool) -> Tensor:
        # float64: where i holds nearly all of the sum, float32 would lose the rest of it in the differences.
        exponentials = s.double() if remove_accidental_hits else s.clone()  # (U, V)
        exponentials -= exponentials.amax(dim=1, keepdim=True)
        own_logits = exponentials[pair_users, pair_items]  # (B,)
        exponentials.exp_()
        counts = torch.bincount(pair_items, minlength=s.shape[1]).to(exponentials.dtype)  # (V,)
        sums = (exponentials @ counts).double()[pair_users]  # (B,)
        if remove_accidental_hits:
            accidental = (counts[pair_items] - 1) * own_logits.exp()  # (B,)
            sums -= accidental
            own_gradients = -1 - accidental / sums  # (B,)
        else:
            own_gradients = -torch.ones_like(sums)
        weights = sums.new_zeros(len(s)).index_add_(0, pair_users, 1 / sums)  # (U,)
        gradient = exponentials.mul_(weights.to(exponentials.dtype)[:, None]).mul_(counts)  # (U, V)
        gradient.index_put_((pair_users, pair_items), own_gradients.to(gradient.dtype), accumulate=True)
        ctx.save_for_backward(gradient.to(s.dtype))
        return (sums.log() - own_logits).sum(dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream.to(gradient.dtype), None, None, None


def full_softmax(
    user_vectors: Tensor,
    item_vectors: Tensor,
    item_biases: Tensor | None,
    pair_users: Tensor,
    pair_items: Tensor,
    *,
    temperature: float = 1.0,
) -> Tensor:
    """The softmax loss over a whole catalogue, summed over the rows of the batch: log Σ_v exp(s_uv) − s_ui.

    Args:
        user_vectors: (U, d), the batch's distinct users.
        item_vectors: (V, d), the catalogue.
        item_biases: (V,) or ``None``.
        pair_users: int64 (B,), each row's user, in [0, U).
        pair_items: int64 (B,), each row's item, in [0, V).
        temperature: the scores are divided by it; above 0.

    Returns:
        The loss, no shape.
    """
    s = logits(user_vectors, item_vectors, item_biases, temperature=temperature)  # (U, V)
    return (torch.logsumexp(s, dim=1)[pair_users] - s[pair_users, pair_items]).sum()
