from numbering import ordinal


def step(number, of, word):
    return f"{word}: the {ordinal(number)} of {of}"
