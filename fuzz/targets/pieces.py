"""Bytes as pieces: how they happen to arrive."""


def cut(data, sizes):
    """`data` in pieces of these sizes (0 is 1), and the rest as the last."""
    pieces = []
    at = 0
    for size in sizes:
        pieces.append(data[at : at + max(size, 1)])
        at += max(size, 1)
    pieces.append(data[at:])
    return [piece for piece in pieces if piece]


def head(data, count):
    """The first `count` bytes as numbers, zeros where there are none, and what follows them."""
    return list(data[:count].ljust(count, b"\0")), data[count:]
