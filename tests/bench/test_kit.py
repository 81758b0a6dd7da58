# SPDX-License-Identifier: MIT
"""The arithmetic of the benchmarks, and the order of a race.  Needs no /dev/kvm."""
import struct

import pytest

from benchkit import elf as elf_file
from benchkit import frames, picture, report, rounds, smaps, stats, talk
from benchkit.place import Failed
from benchmarks import devices


def test_quantiles():
    assert stats.median([3]) == 3
    assert stats.median([4, 1, 3]) == 3
    assert stats.median([4, 1, 3, 2]) == 2.5
    assert stats.summary([5, 1, 2, 4, 3]) == {"n": 5, "median": 3, "q1": 2, "q3": 4, "min": 1, "max": 5}
    assert stats.quantile([0, 10], 0.25) == 2.5
    with pytest.raises(ValueError):
        stats.median([])


def test_ratio_is_that_of_the_rounds():
    """Twice as slow in every round, however the machine's speed changes."""
    theirs = {0: 1.0, 1: 100.0, 2: 3.0}
    assert stats.ratio({i: 2 * value for i, value in theirs.items()}, theirs)["median"] == 2
    assert stats.ratio({0: 4.0, 1: 300.0, 2: 15.0}, theirs) == {"n": 3, "median": 4, "q1": 3.5, "q3": 4.5}
    assert stats.ratio({5: 1.0}, theirs) is None
    assert stats.ratio({0: 3.0, 7: 1.0}, {0: 1.5, 8: 1.0}) == {"n": 1, "median": 2, "q1": 2, "q3": 2}
    assert stats.ratio({0: 3.0}, {0: 0.0}) is None


def test_slope_is_not_moved_by_one_wild_point():
    assert stats.slope([(0, 5), (1, 7), (2, 9)]) == (2, 5)
    assert stats.slope([(x, 3 * x + 1) for x in range(9)] + [(9, 1000)]) == (3, 1)
    assert stats.slope([(1, 1), (1, 2)]) is None
    assert stats.slope([(1, 1)]) is None


def contender(log, name, values):
    """Gives these values in turn, the first to the round that does not count; an exception is raised."""
    values = iter(values)

    def turn():
        log.append(name)
        value = next(values)
        if isinstance(value, Exception):
            raise value
        return {"ms": value}
    return turn


def test_race():
    log = []
    case = rounds.Case("a race", {"ms": ("time", "ms")})
    rounds.race(case, {"floor": contender(log, "f", [99, 1, 2, 3]), "pronto": contender(log, "p", [99, 2, 2, 9]),
                       "peer": contender(log, "q", [99, 10, 30, 20])}, 3)
    assert "".join(log) == "fpq" + "fpq" + "pqf" + "qfp"  # one that does not count, then nobody always first
    result = case.as_json()
    pronto = result["contenders"]["pronto"]["ms"]
    assert pronto["samples"] == [2, 2, 9]
    assert (pronto["median"], pronto["over"]["floor"]["median"]) == (2, 2)
    peer = result["contenders"]["peer"]["ms"]
    assert (peer["median"], peer["over"]["floor"]["median"], peer["over"]["pronto"]["median"]) == (20, 10, 5)
    assert result["absent"] == result["failures"] == {}


def test_who_cannot_take_part_says_why():
    log = []
    case = rounds.Case("a race", {"ms": ("time", "ms")})
    rounds.race(case, {"floor": contender(log, "f", [1] * 11),
                       "dead": contender(log, "d", [Failed("no such machine")]),
                       "weak": contender(log, "w", [1] + [1, Failed("hiccup")] * 5),
                       "tired": contender(log, "t", [1, Failed("once")] + [1] * 9)}, 10)
    assert case.absent == {"dead": "no such machine", "weak": "failed 5 of 10 rounds: hiccup"}
    assert log.count("d") == 1
    assert sorted(case.samples) == ["floor", "tired"]
    result = case.as_json()
    assert result["contenders"]["tired"]["ms"]["n"] == 9
    lines = "\n".join(report.table({"name": "x", "title": "X", "skipped": None, "cases": [result]}))
    assert "dead: absent, no such machine" in lines
    assert "tired: 1 rounds failed, once" in lines


def test_table():
    case = rounds.Case("128M", {"ms": ("start", "ms")}, "a note")
    rounds.race(case, {"floor": lambda: {"ms": 1.25}, "pronto": lambda: {"ms": 1234.5}}, 2)
    lines = report.table({"name": "start", "title": "T", "skipped": None, "cases": [case.as_json()]})
    assert lines[0] == "## start: T"
    assert lines[2:4] == ["### 128M", "a note"]
    assert lines[4].split() == ["start,", "ms", "median", "q1", "q3", "n", "/floor", "/pronto"]
    assert lines[5].split() == ["floor", "1.25", "1.25", "1.25", "2", "1.00", "0.00101"]
    assert lines[6].split() == ["pronto", "1234", "1234", "1234", "2", "988", "1.00"]
    skipped = report.table({"name": "boot", "title": "T", "skipped": "no lab", "cases": []})
    assert "skipped: no lab" in skipped


@pytest.mark.parametrize("value, text", [(0, "0"), (0.0123456, "0.0123"), (0.5, "0.500"), (9.999, "10.00"),
                                         (12.34, "12.3"), (123.4, "123"), (-4.2, "-4.20")])
def test_three_figures(value, text):
    assert report.number(value) == text


def mapping(start_mib, size_mib, rss_kib, pss_kib):
    start = start_mib << 20
    return [f"{start:x}-{start + (size_mib << 20):x} rw-p 00000000 00:00 0", f"Size: {size_mib << 10} kB",
            f"Rss:  {rss_kib} kB", f"Pss:  {pss_kib} kB", "Pss_Dirty: 7 kB"]


def test_memory_beside_the_ram():
    """RAM in three neighbouring mappings, as a kernel mapped into it makes it; a neighbour is not RAM."""
    lines = [*mapping(1, 2, 100, 50), *mapping(10, 16, 1000, 1000), *mapping(26, 8, 2000, 20),
             *mapping(34, 40, 3000, 3000), *mapping(74, 1, 30, 30), *mapping(200, 8, 500, 500)]
    assert smaps.split(smaps.parse(lines), 64) == (630, 580, 6000, 4020)
    with pytest.raises(ValueError):
        smaps.split(smaps.parse(lines), 128)


def test_ram_begins_where_its_first_page_lies():
    lines = [*mapping(1, 2, 100, 50), *mapping(10, 16, 1000, 1000), *mapping(26, 48, 2000, 20), *mapping(74, 1, 30, 30)]
    assert [m[:2] for m in smaps.ram(smaps.parse(lines), 64)] == [(10 << 20, 26 << 20), (26 << 20, 74 << 20)]


def entry(frame):
    """Of pagemap, with a bit above the frame's that is not part of it."""
    return 1 << 63 | 1 << 56 | frame if frame is not None else 0


def test_frames():
    assert frames.frames(map(entry, [7, None, 9, 0])) == {0: 7, 2: 9, 3: 0}
    assert frames.frames([0, 0]) == {}
    with pytest.raises(ValueError):
        frames.frames(map(entry, [0, 0]))  # what anybody but root is shown


def test_a_shared_frame_counts_once():
    """Pages 0 and 1 are not asked for.  Of the others the guests share some, and one has a page that others lack."""
    first = frames.frames(map(entry, [1, 2, 10, 11, 12, 13]))
    second = frames.frames(map(entry, [3, 4, 10, 11, 22, 23]))
    third = frames.frames(map(entry, [5, 6, 10, None, 32, 12]))
    assert frames.growth([first], [(2, 6)]) == (4, None)
    assert frames.growth([first, second], [(2, 6)]) == (4, 2)
    assert frames.growth([first, second, third], [(2, 6)]) == (4, 1.5)
    assert frames.growth([first, second], [(2, 4), (5, 6)]) == (3, 1)
    assert frames.growth([first, first], [(0, 6)]) == (6, 0)


def test_code_and_constants_of_a_kernel():
    """Of whole pages only; neither what is written nor what is no segment."""
    def header(kind, flags, address, room):
        return struct.pack("<IIQQQQQQ", kind, flags, 0, 0, address, 0, room, 4096)
    table = [header(1, 5, 0x1000800, 0x2900), header(1, 6, 0x2000000, 0x5000), header(4, 4, 0x1000000, 0x9000),
             header(1, 4, 0x3000000, 0x2000), header(1, 4, 0x4000010, 0x10)]
    elf = bytes(0x20) + struct.pack("<Q14xHH", 0x40, 56, len(table)) + bytes(0x40 - 0x3a) + b"".join(table)
    assert elf_file.constant_ranges(elf, 4096) == [(0x1001, 0x1003), (0x3000, 0x3002)]


def test_picture_of_zeros(tmp_path):
    case = rounds.Case("2 VMs", {"more": ("one VM more", "MiB"), "wide": ("memory", "MiB")})
    rounds.race(case, {"a": lambda: {"more": 0, "wide": 0}, "b": lambda: {"more": 0, "wide": 1},
                       "c": lambda: {"more": 0, "wide": 1000}}, 1)
    why = picture.draw({"cases": [case.as_json()]}, str(tmp_path / "p.svg"))
    if why and "install" in why:
        pytest.skip(why)
    assert why is None


def test_picture(tmp_path):
    case = rounds.Case("it's 128M", {"up_ms": ("start", "ms")})
    rounds.race(case, {"floor": lambda: {"up_ms": 1.0}, "peer": lambda: {"up_ms": 900.0}}, 2)
    result = {"cases": [case.as_json()]}
    path = tmp_path / "p.svg"
    why = picture.draw(result, str(path))
    if why and "install" in why:
        pytest.skip(why)
    assert why is None
    text = path.read_text(encoding="utf-8")
    assert "it's 128M: start" in text.replace("&apos;", "'").replace("&#39;", "'")
    assert "peer" in text and "ms, logarithmic" in text
    assert "nothing was measured" in picture.draw({"cases": []}, str(path))


class Box:
    """A guest's console, as far as the bookkeeper looks at it."""

    def __init__(self, costs):
        self.costs = iter(costs)

    def begin(self):
        pass

    def end(self):
        return next(self.costs)


def test_each_part_runs_twice(monkeypatch):
    """The first time it is counted, the second time timed, and the later word on how long it took is the one that counts."""
    monkeypatch.setattr(talk, "Counted", lambda: Box([{"exits": 7, "user_exits": 3, "calls": 11, "by_name": {}}]))
    monkeypatch.setattr(talk, "Timed", lambda: Box([{"cpu_ns": 5000}]))
    book = talk.Bookkeeper()
    said = [("begin", "0"), ("end", "0"), ("begin", "0"), ("end", "0"), ("took", "0 900"), ("took", "0 800"), ("done", "0")]
    assert [word for word, value in said if book.hear(word, value)] == ["begin", "end"] * 2
    assert book.result == {"0": {"exits": 7, "user_exits": 3, "calls": 11, "by_name": {}, "cpu_ns": 5000, "took_ns": 800}}


def test_words_of_a_guest(tmp_path, monkeypatch):
    """Whole lines that are meant for us, whatever the console has beside them."""
    log = tmp_path / "log"
    monkeypatch.setattr(talk, "LOG", str(log))
    guest = talk.Guest.__new__(talk.Guest)
    guest.at = 0
    log.write_bytes(b"[    0.1] noise\r\n@@ready\r\nxxxx@@begin 0\r\n@@to")
    assert guest.words() == [("ready", ""), ("begin", "0")]
    assert guest.words() == []
    log.write_bytes(log.read_bytes() + b"ok 0 12\r\n")
    assert guest.words() == [("took", "0 12")]


def test_figures_of_devices():
    jobs = [devices.Job("reading", "measure_fio", "--rw=read", 4, "request"), devices.Job("flow", "measure", "flow", 2, "MiB")]
    told = {"0": {"took_ns": 8000, "cpu_ns": 12000, "exits": 16, "user_exits": 4, "calls": 10},
            "1": {"took_ns": 2000, "cpu_ns": 4000, "exits": 1, "user_exits": 2, "calls": 1}}
    assert devices.figures(jobs, told) == {
        "time_0": 2, "cpu_0": 3, "exits_0": 4, "user_0": 1, "calls_0": 1.5,
        "time_1": 1, "cpu_1": 2, "exits_1": 0.5, "user_1": 1, "calls_1": 0}
    assert devices.figures(jobs, told).keys() == devices.metrics(jobs).keys()


def test_commands_of_devices():
    """fio is started once; each of its sections is there twice, with marks."""
    group = devices.disk("a disk", "/dev/ram1", True, quick=True)
    line, = devices.commands(group)
    assert line.startswith("measure_fio ") and line.count("--name=0 ") == line.count("--name=7 ") == 2
    assert line.count("mark begin") == line.count("mark end") == 2 * len(group.jobs)
    lines = devices.commands(devices.net(quick=True))
    assert [text.split()[:2] for text in lines] == [["measure_iperf", "0"], ["measure_iperf", "1"], ["measure", "2"]]
    assert devices.commands(devices.share(quick=True))[0].startswith("mount -t virtiofs ")


def test_both_monitors_are_given_the_same_disk():
    direct = devices.disk("a disk", "/dev/ram1", True, quick=True)
    assert direct.pronto["pronto"].options == ["--disk", "/dev/ram1,direct"]
    assert "driver=host_device" in direct.qemu["qemu"].options[1] and "cache.direct=on" in direct.qemu["qemu"].options[1]
    cached = devices.disk("a disk", "/run/disks/disk", False, quick=True)
    assert cached.pronto["pronto"].options == ["--disk", "/run/disks/disk"]
    assert "driver=file" in cached.qemu["qemu"].options[1] and "cache.direct=off" in cached.qemu["qemu"].options[1]
