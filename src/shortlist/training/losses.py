"""Softmax losses over the distinct users and items of a batch."""

from typing import TYPE_CHECKING

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

    One row of logits per distinct user is all that either needs. They are taken relative to the row's greatest.

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
    # float64: where i holds nearly all of the sum, float32 would lose the rest of it in the differences.
    s = (s - s.detach().amax(dim=1, keepdim=True)).double()  # (U, V), at most 0
    counts = torch.bincount(pair_items, minlength=len(item_vectors)).to(s.dtype)  # (V,)
    exponentials = s.exp()  # (U, V)
    sums = (exponentials @ counts)[pair_users]  # (B,)
    if remove_accidental_hits:
        sums = sums - (counts[pair_items] - 1) * exponentials[pair_users, pair_items]
    return (sums.log() - s[pair_users, pair_items]).sum()


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
