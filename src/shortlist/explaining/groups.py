"""Features under the names that a person reads; the names themselves are in ``templates/``."""

from functools import cache

OF_SOURCE = {
    "popularity": "popular",
    "popularity_recent": "popular_now",
    "popularity_decayed": "popular_now",
    "ease": "history",
    "als": "history",
    "two_tower": "history",
    "history_tower": "history",
    "covisitation": "lately",
    "sequence": "lately",
    "content": "about",
    "repeats": "before",
}
OF_FEATURE = {
    "popularity": "popular",
    "popularity_long": "popular",
    "popularity_short": "popular_now",
    "trend": "popular_now",
    "attribute_match": "about",
    "fusion": "agreement",
    "agreement": "agreement",
    "item_age": "age",
    "item_position": "age",
    "item_rating": "rated",
    "item_rating_shrunk": "rated",
    "predicted_rating": "predicted",
    "history_length": "habits",
    "fresh": "habits",
    "user_idle": "habits",
    "user_rating": "habits",
    "times_taken": "before",
    "events_since_taken": "before",
    "idle_since_taken": "before",
    "overdue": "before",
    "user_repeats": "before",
}
OF_PREFIX = {"similar_to_last_": "lately", "distance_": "about"}
OF_SUFFIX = ("_log_rank", "_z", "_vote")
OTHER = "other"


@cache
def group_of(feature: str) -> str:
    """The key of a feature's group; a source that is not in the table belongs to ``other``.

    >>> [group_of(name) for name in ("ease_z", "distance_year", "trend", "mine_log_rank")]
    ['history', 'about', 'popular_now', 'other']
    """
    if feature in OF_FEATURE:
        return OF_FEATURE[feature]
    for prefix, group in OF_PREFIX.items():
        if feature.startswith(prefix):
            return group
    for suffix in OF_SUFFIX:
        if feature.endswith(suffix):
            return OF_SOURCE.get(feature.removesuffix(suffix), OTHER)
    return OTHER
