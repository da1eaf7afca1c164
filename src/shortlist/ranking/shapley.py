"""What each feature contributes to a score of symmetric trees: exact Shapley values, from a table made once.

In a symmetric tree everything about a row is in the number of its leaf: a row that takes the features S from x and the
others from b lands in the leaf with x's answers at the levels that ask for S, and b's at the others. So the game

    v(S, x) = mean over the training rows b of score(features S of x, the others of b)

needs no row b, only how many of them reached each leaf, and its Shapley values are one number per tree, level and leaf.
Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees", call this
interventional feature perturbation; here the background is every row that the trees learned from.
"""

from math import comb

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats

Doubles = NDArray[np.float64]
MAX_DEPTH = 10
"""A tree's table takes 4^depth steps; no deeper trees are trained here."""
CELLS_AT_ONCE = 2**22


def shapley_tables(split_features: NDArray[np.int32], leaf_values: Doubles, weights: Doubles) -> Doubles:
    """float64 (n_trees, depth, 2 ** depth): what the feature of a level adds in a leaf to the tree's mean value.

    A feature that several levels ask for has its whole contribution at the lowest of them, and 0 at the others. Over
    the levels a leaf's numbers sum to its value less the mean.

    Args:
        split_features: int32 (n_trees, depth), depth at most `MAX_DEPTH`.
        leaf_values: float64 (n_trees, 2 ** depth).
        weights: float64 (n_trees, 2 ** depth), the share of the background in each leaf; they sum to 1.

    >>> shapley_tables(np.array([[0, 1]]), np.array([[0.0, 1.0, 2.0, 7.0]]), np.full((1, 4), 0.25))
    array([[[-1. ,  1. , -2. ,  2. ],
            [-1.5, -2.5,  1.5,  2.5]]])
    """
    n_trees, depth = split_features.shape
    of_player = _shapley_weights(depth)
    tables = np.empty((n_trees, depth, 2**depth))
    step = max(1, CELLS_AT_ONCE // 4**depth)
    for start in range(0, n_trees, step):
        part = slice(start, start + step)
        games = _games(leaf_values[part], weights[part])  # (n, 2^depth sets of levels, 2^depth leaves)
        sets = _levels_of(split_features[part])  # (n, 2^depth sets of players)
        tables[part] = of_player @ games[np.arange(len(games))[:, None], sets]
    return tables


def _games(values: Doubles, weights: Doubles) -> Doubles:
    """float64 (n, 2^depth, 2^depth): v for each set of levels, as a bit mask, and leaf."""
    n, n_leaves = values.shape
    depth = n_leaves.bit_length() - 1
    cube = (n, *[2] * depth)  # the axis of bit i is depth - i
    values, weights = values.reshape(cube), weights.reshape(cube)
    games = np.empty((n, n_leaves, n_leaves))
    for levels in range(n_leaves):
        taken = tuple(depth - i for i in range(depth) if levels >> i & 1)
        averaged = tuple(depth - i for i in range(depth) if not levels >> i & 1)
        shares = weights.sum(axis=taken, keepdims=True)
        means = (shares * values).sum(axis=averaged, keepdims=True)
        games[:, levels] = np.broadcast_to(means, cube).reshape(n, n_leaves)
    return games


def _levels_of(split_features: NDArray[np.int32]) -> NDArray[np.int64]:
    """int64 (n, 2^depth): the levels, as a bit mask, that a set of players stands for.

    The player of a level is its feature, with all its levels, where none before asks for it; else nobody.
    """
    depth = split_features.shape[1]
    same = split_features[:, :, None] == split_features[:, None, :]  # (n, depth, depth)
    is_first = ~np.tril(same, -1).any(axis=2)
    levels = (same << np.arange(depth)).sum(axis=2) * is_first  # (n, depth)
    sets = np.zeros((len(split_features), 2**depth), dtype=np.int64)
    for player in range(depth):
        members = np.arange(2**depth) >> player & 1
        sets |= levels[:, player, None] * members
    return sets


def _shapley_weights(depth: int) -> Doubles:
    """float64 (depth, 2^depth): a player's value is Σ over sets of this times the set's worth."""
    sets = np.arange(2**depth)
    members = sets >> np.arange(depth)[:, None] & 1  # (depth, 2^depth)
    others = members.sum(axis=0) - members  # players of the set besides this one
    once = np.array([1 / (depth * comb(depth - 1, size)) for size in range(depth)])
    weights: Doubles = np.where(members == 1, 1, -1) * once[np.minimum(others, depth - 1)]
    return weights


def possible_leaves(split_features: NDArray[np.int32], borders: Floats) -> Doubles:
    """float64 (n_trees, 2 ** depth): the same share for every leaf that some row can reach, 0 for the others.

    Stands in for the training rows where nobody counted them. Above the higher of two borders is above the lower too;
    nothing is above an infinite one.

    >>> possible_leaves(np.array([[0, 0]]), np.array([[1, 2]], dtype=np.float32)).round(2)
    array([[0.33, 0.33, 0.  , 0.33]])
    """
    depth = split_features.shape[1]
    above = (np.arange(2**depth)[:, None] >> np.arange(depth) & 1).astype(np.float32)  # (2^depth, depth)
    same = split_features[:, :, None] == split_features[:, None, :]
    implied = (same & (borders[:, :, None] >= borders[:, None, :])).astype(np.float32)  # above i means above j
    broken = ((above @ implied) * (1 - above)).sum(axis=2) + np.isinf(borders).astype(np.float32) @ above.T
    possible = (broken == 0).astype(np.float64)
    shares: Doubles = possible / possible.sum(axis=1, keepdims=True)
    return shares
