"""Figures that others published, not measured here: read at the source named, or there as a quotation."""

PUBLISHED: dict[tuple[str, str], list[tuple[str, str, str]]] = {
    ("100k", "random"): [
        ("EASE, tuned", "P@10 .374, R@10 .243", "Ferrari Dacrema et al. 2021, 80/20"),
        ("SLIM elastic net, tuned", "P@10 .377, R@10 .244", "the same"),
        ("iALS, tuned", "P@10 .360, R@10 .228", "the same"),
        ("MF-BPR, tuned", "P@10 .282, R@10 .186", "the same"),
        ("BiVAE", "NDCG@10 .475, P@10 .412, R@10 .219", "Microsoft Recommenders, 75/25 stratified, defaults"),
        ("TensorFlow Recommenders, basic retrieval", "top-100 .232 to .234", "its tutorial, seen films kept"),
    ],
    ("1m", "next"): [
        ("SASRec, one negative", "HR@10 .250, NDCG@10 .134", "Klenitskiy and Vasilev 2023"),
        ("BERT4Rec", "HR@10 .284, NDCG@10 .154", "the same"),
        ("SASRec, full cross-entropy", "HR@10 .315, NDCG@10 .182", "the same"),
        ("SASRec, 3000 negatives", "HR@10 .316, NDCG@10 .186", "the same"),
        ("gSASRec", "HR@10 .300, NDCG@10 .173", "its authors"),
        ("eSASRec", "HR@10 .313, NDCG@10 .177", "its authors"),
        ("HSTU", "HR@10 .310, NDCG@10 .172", "its authors; ties in time not kept in order"),
        ("HSTU-large", "HR@10 .329, NDCG@10 .189", "the same"),
    ],
}
"""By data set and protocol: name, figures, where and under which conditions."""


def published_table(data: str, protocol: str) -> str:
    """Markdown; empty where nothing comparable was published."""
    rows = [f"| {name} | {figures} | {where} |" for name, figures, where in PUBLISHED.get((data, protocol), [])]
    head = ["| published by others, not measured here | figures | source and conditions |", "|---|---|---|"]
    return "\n".join([*head, *rows]) if rows else ""
