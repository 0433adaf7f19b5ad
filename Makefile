# `make demo` and `make test` need Python 3.11 or newer and nothing else of ours.
.PHONY: demo test bench autobahn format lock clean

demo:
	@scripts/demo

test:
	@scripts/test

bench:
	@scripts/bench

autobahn:
	@scripts/autobahn

format:
	@scripts/format

lock:
	@scripts/lock

clean:
	rm -rf .venv .trunkline build benchmarks/build
