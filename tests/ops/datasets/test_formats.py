"""Every publisher's format, in a file of a few rows as the publisher writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.datasets import open_dataset
from ops.datasets.errors import DatasetMissing, DatasetUnreadable
from ops.datasets.table import Dataset
from stream.events import Item


def opened(path: Path, **options: str) -> Dataset:
    return open_dataset(str(path), cache_dir=path.parent / "cache", download=False, **options)


def rows(dataset: Dataset) -> list[tuple[str, str, int, str, float | None]]:
    return [(event.user, event.item, event.ts, event.type, event.value) for event in dataset.events]


RATINGS_CSV = "userId,movieId,rating,timestamp\n2,20,3.5,200\n1,10,4.0,100\n"
RATED = [("1", "10", 100_000, "rating", 4.0), ("2", "20", 200_000, "rating", 3.5)]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".zip", ".tar.gz"])
def test_reads_through_packing(write, suffix: str) -> None:
    """The same rows come out of a plain, packed or archived file."""
    assert rows(opened(write(f"ratings.csv{suffix}", RATINGS_CSV))) == RATED


def test_movielens_csv_with_its_films(write) -> None:
    """Commas and quotes in titles are read as CSV; "(no genres listed)" is no genre."""
    write("ratings.csv", RATINGS_CSV)
    films = (
        'movieId,title,genres\n10,"American President, The (1995)",Comedy|Drama\n20,X,(no genres listed)\n'
    )
    dataset = opened(write("movies.csv", films).parent)

    assert rows(dataset) == RATED
    assert list(dataset.items()) == [
        Item(item="10", title="American President, The (1995)", categories=["Comedy", "Drama"]),
        Item(item="20", title="X"),
    ]


def test_movielens_1m_in_latin_1(write) -> None:
    """Double colons separate, titles are Latin-1."""
    write("ratings.dat", "2::20::3::200\n1::10::4::100\n")
    dataset = opened(write("movies.dat", "10::Misérables, Les (1995)::Drama|Musical\n", "latin-1").parent)

    assert rows(dataset) == [("1", "10", 100_000, "rating", 4.0), ("2", "20", 200_000, "rating", 3.0)]
    assert list(dataset.items()) == [
        Item(item="10", title="Misérables, Les (1995)", categories=["Drama", "Musical"])
    ]


def test_movielens_100k_with_its_genre_flags(write) -> None:
    """The nineteen columns of 0 and 1 name the genres; "unknown" is none."""
    write("u.data", "2\t20\t3\t200\n1\t10\t4\t100\n")
    flags = "0|0|0|1|1|1" + "|0" * 13
    unknown = "1" + "|0" * 18
    films = f"10|Toy Story (1995)|01-Jan-1995||http://x|{flags}\n20|unknown||||{unknown}\n"
    dataset = opened(write("u.item", films, "latin-1").parent)

    assert rows(dataset) == [("1", "10", 100_000, "rating", 4.0), ("2", "20", 200_000, "rating", 3.0)]
    assert list(dataset.items()) == [
        Item(item="10", title="Toy Story (1995)", categories=["Animation", "Children's", "Comedy"]),
        Item(item="20", title="unknown"),
    ]


@pytest.mark.parametrize(
    "text",
    ["A2USER0000001,B000000001,5.0,86400\n", "B000000001,A2USER0000001,5.0,86400\n"],
    ids=["user first, 2014", "item first, 2018"],
)
def test_amazon_in_both_orders(write, text: str) -> None:
    """The order of the columns is told by the length of the ids; days separate sessions."""
    dataset = opened(write("ratings_Beauty.csv", text))

    assert rows(dataset) == [("A2USER0000001", "B000000001", 86_400_000, "rating", 5.0)]
    assert dataset.gap_ms < 86_400_000


def test_taobao_keeps_its_nine_days_and_four_types(write) -> None:
    """Rows of other days are counted, an unknown behaviour is malformed, seen items stay in lists."""
    text = (
        "1,10,7,pv,1511539200\n"  # the first second
        "1,11,7,buy,1512316799\n"  # the last
        "1,12,7,pv,1511539199\n"
        "1,13,7,pv,1512316800\n"
        "1,14,7,steal,1511539300\n"
        "1,15,7\n"
    )
    dataset = opened(write("UserBehavior.csv", text))

    assert [(row[1], row[3]) for row in rows(dataset)] == [("10", "pv"), ("11", "buy")]
    assert dataset.dropped == {"malformed row": 2, "outside the publisher's dates": 2}
    assert not dataset.filter_seen
    assert Item(item="10", categories=["7"]) in list(dataset.items())


def test_kuairand_clicks_and_impressions(write) -> None:
    """Logs go in order of name, is_click tells the type, the value is the play time, tags are categories."""
    header = "user_id,video_id,date,time_ms,is_click,play_time_ms\n"
    write("log_standard_4_22_pure.csv", f"{header}1,11,x,500,0,0\n")
    write("log_standard_4_08_pure.csv", f"{header}1,10,x,500,1,1234\n")
    write("log_random_4_22_pure.csv", f"{header}1,99,x,100,1,1\n")
    features = 'video_id,author_id,tag\n10,5,"39,12"\n11,5,\n'
    dataset = opened(write("video_features_basic_pure.csv", features).parent)

    assert rows(dataset) == [("1", "10", 500, "click", 1234.0), ("1", "11", 500, "impression", 0.0)]
    assert list(dataset.items()) == [Item(item="10", categories=["tag 39", "tag 12"]), Item(item="11")]


def test_yoochoose_sessions_are_users(write) -> None:
    """ISO times are UTC; category 0 and S are none."""
    text = "1,2014-04-07T10:51:09.277Z,214,0\n1,2014-04-07T10:54:09.868Z,215,3\n"
    dataset = opened(write("yoochoose-clicks.dat", text))

    assert rows(dataset) == [
        ("1", "214", 1_396_867_869_277, "click", None),
        ("1", "215", 1_396_868_049_868, "click", None),
    ]
    assert list(dataset.items()) == [Item(item="215", categories=["3"])]


def test_json_lines_keep_what_events_say(write) -> None:
    """Ids, lists and values survive; items are items; what is refused is counted by reason."""
    lines = [
        '{"event":"interaction","id":"e1","ts":2000,"user":"a","item":"x","type":"buy","value":2.5,"list":"l"}',
        '{"event":"interaction","ts":1000,"user":"b","item":"y","type":"click"}',
        "",
        '{"event":"item","item":"x","title":"X","categories":["c"]}',
        '{"event":"interaction","ts":1000,"user":"b","item":"y"}',
        "{nonsense",
        '{"event":"forget","user":"b"}',
    ]
    dataset = opened(write("clicks.jsonl.zst", "\n".join(lines)))
    first, second = dataset.events

    assert (first.user, first.id, first.value, first.list) == ("b", None, None, None)
    assert (second.user, second.id, second.value, second.list) == ("a", "e1", 2.5, "l")
    assert list(dataset.items()) == [Item(item="x", title="X", categories=["c"])]
    assert dataset.dropped == {
        "malformed: missing_field": 1,
        "malformed: not_json": 1,
        "no interaction: forget": 1,
    }


@pytest.mark.parametrize(
    ("header", "time", "ts_ms"),
    [
        ("user\titem\tts", "100", 100_000),
        ("user,item,timestamp", "100.5", 100_500),
        ("uid,iid,time_ms", "7", 7),
        ("user,item,ts", "1700000000000", 1_700_000_000_000),  # as our own events count
        ('\ufeff"user","item","ts"', "100", 100_000),  # as exporters write
    ],
)
def test_named_columns_say_their_unit(write, header: str, time: str, ts_ms: int) -> None:
    """Seconds or milliseconds by the name and the first time's size, tabs or commas by the header."""
    split = "\t" if "\t" in header else ","
    dataset = opened(write("mine.tsv", f"{header}\n{split.join(['a', 'x', time])}\n"))

    assert rows(dataset) == [("a", "x", ts_ms, "click", None)]


def test_the_unit_of_times_can_be_declared(write) -> None:
    """A declared unit wins over the column's name, and formats with units of their own refuse one."""
    mine = write("mine.csv", "type,item,user,ts\nbuy,x,a,7\n")

    assert rows(opened(mine, clock="ms")) == [("a", "x", 7, "buy", None)]
    with pytest.raises(DatasetUnreadable, match="units of their own"):
        opened(write("u.data", "1\t10\t4\t100\n"), clock="ms")


def test_a_header_without_a_column_is_named(write) -> None:
    """The error says what is missing and what is there."""
    with pytest.raises(DatasetUnreadable, match="no column user, ts among item, when"):
        opened(write("mine.csv", "item,when\nx,1\n"))


def test_one_bad_cell_costs_one_row(write) -> None:
    """A time that is no number, a time beyond all bounds and a short row are counted; the rest stays."""
    text = "user,item,ts\na,x,1\nb,y,soon\nc,z,99999999999999999999\nd,w\n\ne,v,2\n"
    dataset = opened(write("mine.csv", text))

    assert [row[0] for row in rows(dataset)] == ["a", "e"]
    assert dataset.dropped == {"malformed row": 3}


def test_broken_packing_is_an_error_that_names_the_file(write) -> None:
    """A truncated archive is refused, not read in part."""
    path = write("ratings.csv.gz", RATINGS_CSV)
    path.write_bytes(path.read_bytes()[:-12])

    with pytest.raises(DatasetUnreadable, match=r"ratings\.csv\.gz cannot be unpacked"):
        opened(path)


@pytest.mark.parametrize("at", [10, 20, 40])
def test_a_packed_file_that_was_damaged_is_refused(write, at: int) -> None:
    """Wherever bytes are wrong: in the header, the stream or the checksum."""
    path = write("ratings.csv.gz", RATINGS_CSV * 50)
    raw = bytearray(path.read_bytes())
    raw[at : at + 20] = b"\xff" * 20
    path.write_bytes(raw)

    with pytest.raises(DatasetUnreadable, match=r"ratings\.csv\.gz"):
        opened(path)


def test_an_archive_that_wants_a_password_is_refused(write) -> None:
    """As one that cannot be unpacked."""
    path = write("ratings.csv.zip", RATINGS_CSV)
    raw = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + flags] |= 1
    path.write_bytes(raw)

    with pytest.raises(DatasetUnreadable, match="encrypted"):
        opened(path)


def test_a_quote_that_never_ends_names_the_line(write) -> None:
    """Broken CSV is refused with its place."""
    with pytest.raises(DatasetUnreadable, match=r"mine\.csv, line 2"):
        opened(write("mine.csv", 'user,item,ts\n"a,x,1\n'))


def test_text_of_another_encoding_is_refused(write) -> None:
    """Bytes that are no UTF-8 are an error of the file, not a crash."""
    with pytest.raises(DatasetUnreadable, match="is not utf-8 text"):
        opened(write("mine.csv", "user,item,ts\né,x,1\n", "latin-1"))


def test_what_cannot_be_read_says_what_can(write) -> None:
    """An unknown kind of file lists the known ones."""
    with pytest.raises(DatasetMissing, match=r"ratings\.csv"):
        opened(write("photo.png", "x"))
