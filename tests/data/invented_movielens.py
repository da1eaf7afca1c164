"""Invented films and users in the layouts in which MovieLens comes."""

import zipfile
from pathlib import Path

RATINGS = [(7, 2, 3, 900000300), (5, 1, 4, 900000100), (7, 3, 5, 900000200), (5, 4, 1, 900000400), (6, 5, 2, 900000050)]
GENRES = [
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
]
# id, title, release date, genres; 2 and 5 are the same film, 4 has no year, 6 is rated by nobody
FILMS = [
    (1, "Der Käfer (1994)", "01-Jan-1995", ["Drama", "War"]),
    (2, "Fog, The (1990)", "4-Feb-1991", ["Horror"]),
    (3, "Ducks III: The Pond (1993) (V)", "01-Jan-1993", ["Children's", "Comedy"]),
    (4, "unknown", "", ["unknown"]),
    (5, "Fog, The (1990)", "05-Feb-1991", ["Horror", "Sci-Fi"]),
    (6, "1900 Ways (1971) ", "31-Dec-1972", ["Western"]),
]
USERS = [(5, 31, "F", "welder", "00123"), (6, 9, "M", "none", "V3N4P"), (7, 60, "M", "pilot", "55105")]
HALF_STARS = [(7, 2, 3.5, 900000300), (5, 1, 4.0, 900000100), (7, 3, 5.0, 900000200), (5, 4, 0.5, 900000400)]
# quoted, doubled quotes inside, no year, a span of years, an open one, no genres
FILMS_CSV = [
    (1, "Der Käfer (1994)", "Drama|War"),
    (2, "Fog, The (1990)", "Horror"),
    (3, '"Quoted" Ducks (1993)', "Children|Comedy"),
    (4, "Paterson", "(no genres listed)"),
    (5, "Cosmos: A Series (2014–2015)", "Documentary"),
    (6, "Endless (2009– ) ", "Sci-Fi"),
]
ARCHIVES = {
    "100k": "ml-100k/",
    "1m": "ml-1m/",
    "10m": "ml-10M100K/",
    "20m": "ml-20m/",
    "25m": "ml-25m/",
    "32m": "ml-32m/",
    "latest-small": "ml-latest-small/",
}
"""The folder inside each archive."""
RATINGS_TEXT = "".join("\t".join(map(str, row)) + "\n" for row in RATINGS)


def files_100k() -> dict[str, bytes]:
    flags = ["|".join(str(int(genre in film[3])) for genre in GENRES) for film in FILMS]
    films = [
        f"{film[0]}|{film[1]}|{film[2]}||http://x/{film[0]}|{row}\n" for film, row in zip(FILMS, flags, strict=True)
    ]
    return {
        "u.data": RATINGS_TEXT.encode(),
        "u.item": "".join(films).encode("latin-1"),
        "u.user": "".join("|".join(map(str, row)) + "\n" for row in USERS).encode(),
        "u.genre": ("".join(f"{genre}|{n}\n" for n, genre in enumerate(GENRES)) + "\n").encode(),
        "u.info": b"3 users\n6 items\n5 ratings\n",
        "README": b"Invented.\n",
    }


def files_1m() -> dict[str, bytes]:
    return {
        "ratings.dat": "".join("::".join(map(str, row)) + "\n" for row in RATINGS).encode(),
        "movies.dat": "".join(f"{f[0]}::{f[1]}::{'|'.join(f[3])}\n" for f in FILMS).encode("latin-1"),
        "users.dat": b"5::F::1::10::00123\n6::M::56::0::V3N4P\n7::M::25::20::55105\n",
    }


def files_10m() -> dict[str, bytes]:
    """As published, a whole rating has no decimal point there."""
    return {
        "ratings.dat": "".join(f"{u}::{i}::{r:g}::{t}\n" for u, i, r, t in HALF_STARS).encode(),
        "movies.dat": "".join(f"{i}::{title}::{genres}\n" for i, title, genres in FILMS_CSV).encode(),
        "tags.dat": b"5::1::a tag::900000500\n",
        "README.html": b"Invented.\n",
        "split_ratings.sh": b"not wanted\n",
    }


def files_csv(end: str = "\n") -> dict[str, bytes]:
    ratings = ["userId,movieId,rating,timestamp", *(",".join(map(str, row)) for row in HALF_STARS)]
    films = ["movieId,title,genres"]
    for item_id, title, genres in FILMS_CSV:
        quoted = '"' + title.replace('"', '""') + '"' if set(title) & set('",') else title
        films.append(f"{item_id},{quoted},{genres}")
    return {
        "ratings.csv": "".join(line + end for line in ratings).encode(),
        "movies.csv": "".join(line + end for line in films).encode(),
        "tags.csv": b"userId,movieId,tag,timestamp\n5,1,a tag,900000500\n",
        "links.csv": b"movieId,imdbId,tmdbId\n1,0000001,\n",
        "genome-scores.csv": b"movieId,tagId,relevance\n1,1,0.5\n",
        "README.txt": b"Invented.\n",
    }


def files_of(edition: str) -> dict[str, bytes]:
    """An edition's files by its name in `ARCHIVES`."""
    return {"100k": files_100k, "1m": files_1m, "10m": files_10m}.get(edition, files_csv)()


def files_recbole() -> dict[str, bytes]:
    """As the packer made them: the last "(…)" cut off the title, and a placeholder where there was none."""
    films = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    for item_id, title, _, genres in FILMS:
        name, _, year = title.strip().removesuffix(")").rpartition(" (")
        film = (name, year) if name else ("unkonwn", "unkonwn")
        films += "\t".join((str(item_id), *film, " ".join(genres))) + "\n"
    users = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    return {
        "ml-100k.inter": ("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + RATINGS_TEXT).encode(),
        "ml-100k.item": films.encode(),
        "ml-100k.user": (users + "".join("\t".join(map(str, row)) + "\n" for row in USERS)).encode(),
        "ml-100k.kg": b"not wanted\n",
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_zip(file: Path, files: dict[str, bytes], inside: str = "ml-100k/") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(inside + name, content)
    return file


def write_wheel(folder: Path) -> Path:
    inside, info = "recbole/dataset_example/ml-100k/", "recbole-1.2.1.dist-info/"
    members = {inside + name: content for name, content in files_recbole().items()}
    members[info + "METADATA"] = b"Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n"
    members[info + "WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[info + "RECORD"] = "".join(f"{name},,\n" for name in [*members, info + "RECORD"]).encode()
    return write_zip(folder / "recbole-1.2.1-py3-none-any.whl", members, "")
