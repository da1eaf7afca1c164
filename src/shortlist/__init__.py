"""Two-stage recommender."""
