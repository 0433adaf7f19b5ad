"""What is fuzzed, one file for each target: `check(data)` raises if a promise is broken for these bytes.

Nothing here needs the fuzzer, so the tests replay the kept corpus through the same functions.
"""
