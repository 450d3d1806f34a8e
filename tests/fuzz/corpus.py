#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make the corpus of the fuzz targets: tests/fuzz/corpus.py DIRECTORY

One small file for each kind of request, good, and bad in each way that there is
a rule against (wire/), sequences of requests (books/), and recordings, good and
not (recording/)."""
import os
import struct
import sys
import zlib

KINDS = """MAP UNMAP MOVE PROTECT SYNC ADVISE RESIDENCY LIST STATS MEMORY SWAP
PREFETCH PIN PREFETCH_WAIT FRAME YIELD REGROW GROW FILE_SYNC FILE_WRITING
FILE_WRITTEN FILE_LENGTH UNDO REDO LEAVE STAY ABANDON STOP RECORD REPLAY HELLO
JOIN FORK ATTACH INHERITED SPACES HINTS MOVE_IN ADOPT_OBJECT ADOPT_MAPPING
MAPPINGS REPLACE GUARD UNGUARD RESCUE HAND HANDED HIDDEN
LEFT TAKEN""".split()
KIND = {name: i for i, name in enumerate(KINDS)}
MAGIC = 0x34706D77
PAGE = 4096
PRIVATE, SHARED, ANONYMOUS, GROWSUP, COURSE = 1, 2, 4, 16, 0x10000
AT = 1 << 40
LAST = (1 << 47) - PAGE


def packet(kind, address=0, length=0, args=(), magic=MAGIC, flags=0, ident=1):
    args = (list(args) + [0] * 10)[:10]
    kind = KIND.get(kind, kind)
    return struct.pack("<IHHQQQ10Q", magic, kind, flags, ident, address,
                       length, *(a & (1 << 64) - 1 for a in args))


def map_(address=AT, length=4 * PAGE, prot=3, flags=SHARED, offset=0, grain=1,
         deadline=10**10, growing=0, memory=0):
    return packet("MAP", address, length,
                  (prot, flags, offset, grain, deadline, growing, memory))


def adopt_mapping(first=0, prot=3, flags=SHARED, grain=1, deadline=10**10,
                  bits=3, number=1, memory=0):
    return packet("ADOPT_MAPPING", AT, 4 * PAGE,
                  (first, prot, flags, grain, deadline, bits, number, memory))


def wire():
    yield "map-file", 1, map_()
    yield "map-anonymous", 0, map_(flags=SHARED | ANONYMOUS)
    yield "map-private", 0, map_(flags=PRIVATE | ANONYMOUS)
    yield "map-grows", 1, map_(flags=SHARED | GROWSUP | COURSE, growing=1)
    yield "map-top", 1, map_(address=LAST, length=PAGE)
    yield "map-file-2-fds", 2, map_()
    yield "map-file-no-fd", 0, map_()
    yield "map-beyond", 1, map_(address=LAST, length=PAGE + 1)
    yield "map-wraps", 1, map_(length=(1 << 64) - 1)
    yield "map-nothing", 1, map_(length=0)
    yield "map-odd", 1, map_(address=AT + 1)
    yield "map-offset-odd", 1, map_(offset=1)
    yield "map-offset-far", 1, map_(offset=PAGE << 36)
    yield "map-offset-wraps", 1, map_(offset=-PAGE)
    yield "map-grain-0", 1, map_(grain=0)
    yield "map-grain-3", 1, map_(grain=3)
    yield "map-grain-1024", 1, map_(grain=1024)
    yield "map-deadline-0", 1, map_(deadline=0)
    yield "map-both", 1, map_(flags=SHARED | PRIVATE)
    yield "map-neither", 1, map_(flags=0)
    yield "map-prot", 1, map_(prot=0x01000003)
    yield "map-growing-2", 1, map_(growing=2)
    yield "map-memory", 1, map_(memory=256 << 10)
    yield "map-memory-small", 1, map_(memory=(256 << 10) - 1)
    yield "unmap", 0, packet("UNMAP", AT, 4 * PAGE)
    yield "unmap-exact", 0, packet("UNMAP", AT, 0, (1,))
    yield "unmap-nothing", 0, packet("UNMAP", AT, 0)
    yield "unmap-all", 0, packet("UNMAP", 0, 1 << 47)
    yield "move-look", 0, packet("MOVE", AT, PAGE, (AT, 2 * PAGE, 1, 0))
    yield "move", 0, packet("MOVE", AT, PAGE, (AT + (1 << 30), PAGE, 0, 1))
    yield "move-to-wraps", 0, packet("MOVE", AT, PAGE, (AT, -1, 0, 1))
    yield "move-to-nothing", 0, packet("MOVE", AT, PAGE, (AT, 0, 0, 1))
    yield "protect", 0, packet("PROTECT", AT, PAGE, (1, 0))
    yield "protect-moved", 0, packet("PROTECT", AT, PAGE, (3, 1))
    yield "protect-bits", 0, packet("PROTECT", AT, PAGE, (8, 0))
    yield "sync", 0, packet("SYNC", AT, PAGE, (1, 1, 0))
    yield "sync-all", 0, packet("SYNC", 0, 0, (0, 0, 1))
    yield "sync-bool", 0, packet("SYNC", AT, PAGE, (2, 1, 0))
    for advice in (0, 3, 4, 64, 65):
        yield f"advise-{advice}", 0, packet("ADVISE", AT, PAGE, (advice,))
    yield "memory", 0, packet("MEMORY", 0, 0, (1 << 20,))
    yield "memory-none", 0, packet("MEMORY", 0, 0, (0,))
    yield "memory-small", 0, packet("MEMORY", 0, 0, (4096,))
    yield "memory-mapping", 0, packet("MEMORY", AT, 0, (1 << 20, 1))
    yield "memory-bool", 0, packet("MEMORY", AT, 0, (1 << 20, 2))
    yield "memory-beyond", 0, packet("MEMORY", 1 << 47, 0, (1 << 20, 1))
    yield "pin", 0, packet("PIN", AT, PAGE, (1,))
    yield "pin-bool", 0, packet("PIN", AT, PAGE, (2,))
    yield "pin-odd", 0, packet("PIN", AT + 1, PAGE, (1,))
    yield "residency", 0, packet("RESIDENCY", AT, PAGE)
    yield "residency-most", 0, packet("RESIDENCY", AT, 49152 * PAGE)
    yield "residency-more", 0, packet("RESIDENCY", AT, 49152 * PAGE + 1)
    yield "list", 0, packet("LIST", 0, 0, (1000, 0))
    yield "list-nearest", 0, packet("LIST", 5, 0, (-1, 1))
    yield "list-beyond", 0, packet("LIST", 1 << 47, 0, (1, 0))
    yield "stats", 0, packet("STATS")
    yield "frame", 0, packet("FRAME", AT)
    yield "frame-odd", 0, packet("FRAME", AT + 8)
    yield "yield", 0, packet("YIELD", AT, PAGE)
    yield "yield-nothing", 0, packet("YIELD", AT, 0)
    yield "regrow", 0, packet("REGROW", AT)
    yield "grow-look", 0, packet("GROW", AT)
    yield "grow-placed", 0, packet("GROW", AT, 0, (1, 1))
    yield "grow-gone", 0, packet("GROW", AT, 0, (1, 0))
    yield "grow-odd", 0, packet("GROW", AT + 1, 0, (1, 1))
    yield "grow-bool", 0, packet("GROW", AT, 0, (1, 2))
    yield "grow-beyond", 0, packet("GROW", 1 << 47, 0, (1, 1))
    for kind in ("SYNC", "WRITING", "WRITTEN", "LENGTH"):
        name = "file-" + kind.lower()
        kind = "FILE_" + kind
        yield name, 1, packet(kind, 0, 0, (0, 0, 100, 200, 1))
        yield name + "-no-fd", 0, packet(kind, 0, 0, (0, 0, 100, 200, 1))
        yield name + "-offset", 1, packet(kind, 0, 0, (0, 0, 1 << 63, 1))
        yield name + "-long", 1, packet(kind, 0, 0, (0, 0, 5, -1, 0))
        yield name + "-pointer", 1, packet(kind, 0, 0, (0, 0, 5, 5, 1 << 46))
    yield "hello", 1, packet("HELLO")
    yield "hello-no-fd", 0, packet("HELLO")
    yield "join", 0, packet("JOIN", 0, 0, (1, 2))
    yield "join-fd", 1, packet("JOIN", 0, 0, (1, 2))
    yield "fork", 1, packet("FORK")
    yield "fork-no-fd", 0, packet("FORK")
    yield "attach", 1, packet("ATTACH")
    yield "attach-child", 1, packet("ATTACH", 0, 0, (1,))
    yield "attach-bool", 1, packet("ATTACH", 0, 0, (2,))
    yield "inherited", 0, packet("INHERITED", AT)
    yield "spaces", 0, packet("SPACES")
    yield "spaces-pid", 0, packet("SPACES", 5, 0, (1 << 31,))
    yield "hints", 0, packet("HINTS")
    yield "move-in", 0, packet("MOVE_IN")
    yield "adopt-object", 2, packet("ADOPT_OBJECT", 0, 0, (1,))
    yield "adopt-object-file", 3, packet("ADOPT_OBJECT", 0, 0, (1,))
    yield "adopt-object-no-fd", 0, packet("ADOPT_OBJECT", 0, 0, (1,))
    yield "adopt-object-no-id", 2, packet("ADOPT_OBJECT")
    yield "adopt-mapping", 1, adopt_mapping()
    yield "adopt-mapping-no-fd", 0, adopt_mapping()
    yield "adopt-mapping-plain", 1, adopt_mapping(number=0, flags=PRIVATE)
    yield "adopt-mapping-both", 1, adopt_mapping(flags=SHARED | PRIVATE)
    yield "adopt-mapping-grain", 1, adopt_mapping(grain=3)
    yield "adopt-mapping-beyond", 1, adopt_mapping(first=1 << 36)
    yield "adopt-mapping-prot", 1, adopt_mapping(prot=0x01000003)
    yield "adopt-mapping-bits", 1, adopt_mapping(bits=0x1f)
    yield "adopt-mapping-memory", 1, adopt_mapping(memory=1 << 20)
    yield "adopt-mapping-memory-small", 1, adopt_mapping(memory=4096)
    yield "mappings", 0, packet("MAPPINGS", AT, 0, (1,))
    yield "mappings-beyond", 0, packet("MAPPINGS", 1 << 47, 0, (1,))
    yield "replace", 0, packet("REPLACE")
    for kind in ("GUARD", "UNGUARD", "HANDED", "LEFT", "TAKEN"):
        yield kind.lower(), 0, packet(kind, 0, 0, (1, 2))
        yield kind.lower() + "-fd", 1, packet(kind, 0, 0, (1, 2))
    for fds in range(5):
        yield f"rescue-{fds}", fds, packet("RESCUE", 0, 0, (1, 2, 3))
        yield f"rescue-no-id-{fds}", fds, packet("RESCUE", 0, 0, (0, 2, 3))
        yield f"hand-{fds}", fds, packet("HAND", 0, 0, (1, 1))
        yield f"hidden-{fds}", fds, packet("HIDDEN", 0, 0, (-1,))
    yield "hand-no-id", 1, packet("HAND")
    yield "hand-bool", 2, packet("HAND", 0, 0, (1, 2))
    for n in (0, 1, 1 << 16, (1 << 16) + 1):
        yield f"prefetch-{n}", 1, packet("PREFETCH", 0, 0, (n,))
    yield "prefetch-no-fd", 0, packet("PREFETCH", 0, 0, (1,))
    yield "prefetch-wait", 0, packet("PREFETCH_WAIT", 0, 0, (1, 0))
    yield "prefetch-cancel", 0, packet("PREFETCH_WAIT", 0, 0, (-1, 1))
    yield "prefetch-bool", 0, packet("PREFETCH_WAIT", 0, 0, (1, 2))
    for kind in ("SWAP", "UNDO", "REDO", "LEAVE", "STAY", "ABANDON", "RECORD",
                 "REPLAY"):
        name = "own-" + kind.lower().replace("_", "-")
        yield name, 0, packet(kind, AT, PAGE, (1, 1 << 46))
    yield "stop", 0, packet("STOP")
    yield "kind-above", 0, packet(len(KINDS))
    yield "kind-most", 0, packet(65535)
    yield "again", 0, packet("STATS", flags=1)
    yield "flags", 0, packet("STATS", flags=2)
    yield "id-0", 0, packet("STATS", ident=0)
    yield "magic", 0, packet("STATS", magic=MAGIC + (1 << 24))
    yield "fds-253", 253, packet("HELLO")
    yield "short", 0, packet("STATS")[:-1]
    yield "long", 0, packet("STATS") + b"\0"
    yield "empty", 0, b""
    yield "zeros", 0, bytes(112)
    yield "ones", 255, b"\xff" * 112


WAIT, ONE, TWO, AGAIN, LARGE, TO, TOP, READ = (1 << i for i in range(8))


def step(kind, page=0, pages=4, file=0, flags=0, prot=3, to=0, to_pages=0,
         bits=WAIT, advice=0, odd=0, grain=0, large=0):
    """struct step of books.c"""
    # books.c takes the kind modulo STOP, and 19 modulo 20 for a touch
    number = 19 if kind == "TOUCH" else KIND[kind]
    if number % 20 == 19 and kind != "TOUCH":
        number += KIND["STOP"]
    return struct.pack("<12BI", number, file, page, pages, flags, prot, to,
                       to_pages, bits, advice, odd, grain, large)


def books():
    one = step("MAP", flags=SHARED)
    two = step("MAP", page=16, flags=SHARED)
    store = step("TOUCH", bits=ONE | WAIT)
    yield "map-over", [one, step("MAP", page=2, flags=SHARED)]
    yield "map-around", [two, step("MAP", page=8, pages=31, flags=SHARED)]
    yield "map-again", [one, step("MAP", flags=SHARED, bits=AGAIN)]
    for name, to, pages in (("onto", 16, 4), ("onto-begin", 13, 4),
                            ("into", 0, 31), ("itself", 2, 4)):
        yield "move-" + name, [one, two, step("MOVE", to=to, to_pages=pages,
                                              bits=ONE | WAIT)]
    yield "move-piece-itself", [one, step("MOVE", pages=1, to=2, to_pages=1,
                                          bits=ONE | WAIT)]
    yield "move-large", [one, step("MOVE", to_pages=20, large=0xFFFFFFFF,
                                   bits=ONE | TO | WAIT)]
    yield "map-large", [step("MAP", pages=16, flags=SHARED, large=1 << 18,
                             bits=LARGE), store,
                        step("ADVISE", pages=16, advice=3, large=1 << 18,
                             bits=LARGE | WAIT)]
    yield "map-top", [step("MAP", pages=1, flags=SHARED | GROWSUP,
                           bits=TWO | TOP), step("TOUCH", page=255,
                                                 bits=TOP | ONE)]
    grows = step("MAP", flags=SHARED | GROWSUP, bits=TWO | WAIT)
    yield "grow", [grows, step("TOUCH", page=4), step("TOUCH", page=5)]
    placed = ONE | TWO | WAIT
    yield "grown", [grows, step("TOUCH", page=4, bits=ONE),
                    step("GROW", page=5), step("GROW", page=5, bits=placed),
                    step("GROW", page=5, bits=placed), step("TOUCH", page=5),
                    step("GROW", page=5, bits=ONE), step("REGROW", page=6),
                    step("GROW", page=5, bits=placed)]
    yield "grown-over", [grows, step("MAP", page=4, flags=SHARED),
                         step("GROW", page=5, bits=placed)]
    yield "grown-split", [grows, step("TOUCH", page=4),
                          step("UNMAP", page=1, pages=1),
                          step("GROW", page=5, bits=placed)]
    yield "grown-moved", [grows, step("TOUCH", page=4),
                          step("MOVE", to=20, to_pages=4, bits=ONE),
                          step("GROW", page=5, bits=placed)]
    yield "grow-yield", [grows, step("YIELD", pages=31),
                         step("REGROW", page=4), step("TOUCH", page=4)]
    yield "grow-over", [grows, step("MAP", page=4, flags=SHARED),
                        step("TOUCH", page=4, bits=ONE), step("YIELD"),
                        step("REGROW", page=8)]
    yield "protect-beyond", [one, step("PROTECT", pages=5, prot=1),
                             step("PROTECT", page=3, pages=1, prot=1)]
    yield "protect-read-only", [step("MAP", flags=SHARED, prot=1, bits=READ),
                                step("PROTECT", prot=3)]
    yield "pieces", [step("MAP", pages=31, flags=SHARED)] + [
        step("PROTECT", page=2 * i, pages=1, prot=1) for i in range(15)]
    yield "unmap-twice", [one, store, step("UNMAP", bits=0),
                          step("UNMAP", bits=0), step("MOVE", to=9,
                                                      to_pages=4, bits=ONE)]
    yield "writing", [one, store] + [step("FILE_WRITING")] * 9 + [
        step("SYNC", bits=ONE | TWO), step("FILE_WRITTEN", pages=31),
        step("UNMAP")]
    yield "truncated", [one, store, step("FILE_LENGTH", to=1), store,
                        step("TOUCH", page=3), step("FILE_LENGTH", to=32)]
    yield "read-only-writes", [step("MAP", flags=SHARED, bits=READ), store,
                               step("FILE_WRITTEN", pages=31, bits=READ)]
    yield "dropped", [one, store, step("ADVISE", advice=4), store,
                      step("RESIDENCY"), step("FRAME"), step("STATS"),
                      step("LIST", large=1000)]
    listed = step("PREFETCH", to=7, pages=2)
    yield "listed", [one, listed, step("PREFETCH_WAIT", to=1), listed,
                     step("PREFETCH_WAIT", to=2, bits=TWO), store,
                     step("PREFETCH", to=3, pages=31, large=1 << 18,
                          bits=LARGE), step("UNMAP")]
    yield "plain", [step("MAP", flags=PRIVATE | ANONYMOUS), store,
                    step("UNMAP", page=1, pages=1), step("MOVE", pages=1,
                                                         to=30, to_pages=9,
                                                         bits=ONE)]


def number(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def run(file, distance, pages):
    return (number(file) + number((distance << 1 ^ distance >> 63) & (1 << 64) - 1)
            + number(pages - 1))


def file_(ino=7, length=100 * PAGE, path=b"/a", path_length=None):
    return struct.pack("<QQQqQ", 1, ino, length, -5, len(path) if path_length
                       is None else path_length) + path


def whole(files, runs, n_files=None, n_runs=None, version=1, size=None,
          magic=b"wmaprec\n", tail=b""):
    body = b"".join(files) + b"".join(runs) + tail
    checked = struct.pack("<QQQ", 40 + len(body) if size is None else size,
                          len(files) if n_files is None else n_files,
                          len(runs) if n_runs is None else n_runs) + body
    return magic + struct.pack("<II", version, zlib.crc32(checked)) + checked


def recordings():
    one = [file_()]
    good = whole(one, [run(0, 5, 3), run(0, -8, 2), run(0, 90, 1)])
    two = [file_(), file_(8, 2**63 - 1, b"/b" * 100)]
    yield "nothing", whole([], [])
    yield "one", good
    yield "two", whole(two, [run(0, 0, 1), run(1, 2**40, 9), run(0, 1, 98),
                             run(1, -2**39, 1)])
    yield "twins", whole([file_(), file_()], [run(0, 1, 1), run(1, 2, 1)])
    yield "unused-file", whole(one, [])
    yield "empty", b""
    yield "short", good[:20]
    yield "cut-off", good[:-1]
    yield "longer", good + b"\0"
    yield "version", whole(one, [], version=2)
    yield "magic", whole(one, [], magic=b"wmaprec\r")
    yield "bit", good[:-1] + bytes([good[-1] ^ 1])
    yield "size", whole(one, [], size=2**64 - 1)
    yield "files-absurd", whole(one, [], n_files=2**63)
    yield "files-more", whole(one, [], n_files=2)
    yield "files-fewer", whole(two, [run(0, 1, 1)], n_files=1)
    yield "runs-absurd", whole(one, [run(0, 1, 1)], n_runs=2**63)
    yield "runs-more", whole(one, [run(0, 1, 1)], n_runs=2)
    yield "run-of-no-file", whole(one, [run(1, 1, 1)])
    yield "run-beyond", whole(one, [run(0, 99, 2)])
    yield "run-far-beyond", whole(one, [run(0, 2**62, 2**62)])
    yield "run-before", whole(one, [run(0, -1, 1)])
    yield "run-wraps", whole(one, [run(0, 1, 2**64)])
    yield "run-twice", whole(one, [run(0, 4, 4), run(0, -2, 1)])
    yield "run-goes-on", whole(one, [run(0, 4, 4), run(0, 0, 1)])
    yield "run-half", whole(one, [run(0, 4, 1)[:-1]])
    yield "number-long", whole(one, [b"\x80\0\0\0"])
    yield "number-endless", whole(one, [b"\xff" * 12])
    yield "file-negative", whole([file_(length=2**63)], [])
    yield "file-empty", whole([file_(length=0)], [run(0, 0, 1)])
    yield "path-long", whole([file_(path=b"x" * 4096)], [])
    yield "path-longest", whole([file_(path=b"x" * 4095)], [])
    yield "path-cut-off", whole([file_(path_length=2**64 - 1)], [])
    yield "path-zero", whole([file_(path=b"/a\0b")], [])


def save(directory, name, body):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as file:
        file.write(body)


def main():
    directory = sys.argv[1]
    for name, fds, body in wire():
        save(os.path.join(directory, "wire"), name, bytes([fds]) + body)
    for name, steps in books():
        for foreign in (0, 1):
            save(os.path.join(directory, "books"), f"{name}-{foreign}",
                 bytes([foreign]) + b"".join(steps))
    for name, body in recordings():
        for fitted in (0, 1):
            save(os.path.join(directory, "recording"), f"{name}-{fitted}",
                 bytes([fitted]) + body)


main()
