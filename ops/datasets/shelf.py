"""The data sets that have a name: who publishes them, under which licence, with which hash.

Knows: names, formats, addresses, hashes. Does not know: how files are found, fetched or read.

Only MovieLens and Zenodo publish hashes. Those of MovieLens stand here and are the publisher's own (the .md5
file beside each zip); KuaiRand's is read from Zenodo's record when fetched. Amazon's files have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ops.datasets import (
    amazon,
    jsonl,
    kuairand,
    movielens_1m,
    movielens_100k,
    movielens_csv,
    named,
    taobao,
    yoochoose,
)
from ops.datasets.reading import Format

#: In the order in which an unnamed file or directory is tried.
FORMATS: tuple[Format, ...] = (
    movielens_csv.FORMAT,
    movielens_1m.FORMAT,
    movielens_100k.FORMAT,
    amazon.FORMAT,
    taobao.FORMAT,
    kuairand.FORMAT,
    yoochoose.FORMAT,
    jsonl.FORMAT,
    named.FORMAT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One named data set."""

    name: str
    format: Format
    licence: str
    page: str  # where the publisher describes it
    url: str | None = None  # what is downloaded; None: only by hand, from `page`
    md5: str | None = None  # of the file at `url`, as the publisher states it
    md5_url: str | None = None  # where the publisher states it, when it does not stand here
    gap_ms: int | None = None  # overrules the format's
    by_hand: str = ""  # what to do when there is no `url`


GROUPLENS = "https://files.grouplens.org/datasets/movielens"
ML_LICENCE = (
    "GroupLens: research use, no commercial use without permission, no endorsement claimed, "
    "cite Harper and Konstan 2015"
)
ML_NO_COPIES = f"{ML_LICENCE}; may not be redistributed"
AMAZON_2014 = "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
AMAZON_LICENCE = "McAuley lab, UCSD: research use, cite McAuley et al. 2015"
AMAZON_PAGE = "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html"
PREPARED = "preprocessed for research by the authors of TiCoSeRec (https://github.com/KingGugu/TiCoSeRec)"

AMAZON_CATEGORIES = (
    "Amazon_Instant_Video",
    "Apps_for_Android",
    "Automotive",
    "Baby",
    "Beauty",
    "Books",
    "CDs_and_Vinyl",
    "Cell_Phones_and_Accessories",
    "Clothing_Shoes_and_Jewelry",
    "Digital_Music",
    "Electronics",
    "Grocery_and_Gourmet_Food",
    "Health_and_Personal_Care",
    "Home_and_Kitchen",
    "Kindle_Store",
    "Movies_and_TV",
    "Musical_Instruments",
    "Office_Products",
    "Patio_Lawn_and_Garden",
    "Pet_Supplies",
    "Sports_and_Outdoors",
    "Tools_and_Home_Improvement",
    "Toys_and_Games",
    "Video_Games",
)


def _movielens(name: str, format_: Format, md5: str, licence: str = ML_LICENCE) -> Record:
    return Record(
        name=name,
        format=format_,
        licence=licence,
        page=f"https://grouplens.org/datasets/movielens/{name.removeprefix('ml-').removesuffix('-small')}/",
        url=f"{GROUPLENS}/{name}.zip",
        md5=md5,
        md5_url=f"{GROUPLENS}/{name}.zip.md5",
    )


def _amazon(category: str) -> Record:
    return Record(
        name=f"amazon-{category.lower().replace('_', '-')}",
        format=amazon.FORMAT,
        licence=AMAZON_LICENCE,
        page=AMAZON_PAGE,
        url=f"{AMAZON_2014}/ratings_{category}.csv",
    )


_NAMED = (
    _movielens("ml-latest-small", movielens_csv.FORMAT, "31a303aabbc519bd33d025e44d6c2570"),
    _movielens("ml-100k", movielens_100k.FORMAT, "0e33842e24a9c977be4e0107933c0723", ML_NO_COPIES),
    _movielens("ml-1m", movielens_1m.FORMAT, "c4d9eecfca2ab87c1945afe126590906", ML_NO_COPIES),
    _movielens("ml-20m", movielens_csv.FORMAT, "cd245b17a1ae2cc31bb14903e1204af3"),
    _movielens("ml-25m", movielens_csv.FORMAT, "6b51fb2759a8657d3bfcbfc42b592ada"),
    _movielens("ml-32m", movielens_csv.FORMAT, "d472be332d4daa821edc399621853b57"),
    Record(
        name="ml-1m-partial",
        format=movielens_1m.FORMAT,
        licence=ML_NO_COPIES,
        page="https://grouplens.org/datasets/movielens/1m/",
        by_hand="it is a part of ml-1m, which can be downloaded by its name",
    ),
    Record(
        name="kuairand-pure",
        format=kuairand.FORMAT,
        licence="CC BY-SA 4.0, cite Gao et al. 2022",
        page="https://kuairand.com",
        url="https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",
        md5_url="https://zenodo.org/api/records/10439422/files/KuaiRand-Pure.tar.gz",
    ),
    Record(
        name="kuairand-pure-part",
        format=kuairand.FORMAT,
        licence="CC BY-SA 4.0, cite Gao et al. 2022",
        page="https://kuairand.com",
        by_hand="it is a part of kuairand-pure, which can be downloaded by its name",
    ),
    Record(
        name="taobao-userbehavior",
        format=taobao.FORMAT,
        licence="Alibaba Tianchi: research use, cite Zhu et al. 2018",
        page="https://tianchi.aliyun.com/dataset/649",
        by_hand="the publisher asks for a login; put UserBehavior.csv.zip into",
    ),
    Record(
        name="taobao-userbehavior-head",
        format=taobao.FORMAT,
        licence="Alibaba Tianchi: research use, cite Zhu et al. 2018",
        page="https://tianchi.aliyun.com/dataset/649",
        by_hand="it is the head of taobao-userbehavior",
    ),
    Record(
        name="yoochoose",
        format=yoochoose.FORMAT,
        licence="CC BY-NC-ND 4.0, RecSys Challenge 2015",
        page="https://www.kaggle.com/datasets/chadgostopp/recsys-challenge-2015",
        by_hand="it is packed as 7z; unpack yoochoose-clicks.dat into",
    ),
    Record(
        name="amazon-beauty-5core",
        format=named.FORMAT,
        licence=f"{AMAZON_LICENCE}; {PREPARED}",
        page=AMAZON_PAGE,
        gap_ms=amazon.HALF_DAY_MS,
        by_hand="amazon-beauty is the whole set and can be downloaded by its name",
    ),
    Record(
        name="yelp2020-ticoserec",
        format=named.FORMAT,
        licence=f"Yelp data set terms: academic use only; {PREPARED}",
        page="https://business.yelp.com/data/resources/open-dataset/",
        by_hand="put events.tsv with the columns user, item and ts (Unix seconds) into",
    ),
    *(_amazon(category) for category in AMAZON_CATEGORIES),
)

RECORDS: Mapping[str, Record] = {record.name: record for record in _NAMED}
