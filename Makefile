# `make demo` and `make test` need Python 3.11 or newer and nothing else of ours.
# What to pass on: make demo ARGS='--port 9000', make test ARGS='tests/cli -x'.
.PHONY: demo test bench autobahn fuzz stress format lock clean

demo:
	@scripts/demo $(ARGS)

test:
	@scripts/test $(ARGS)

bench:
	@scripts/bench

autobahn:
	@scripts/autobahn

fuzz:
	@scripts/fuzz

stress:
	@scripts/stress $(ARGS)

format:
	@scripts/format

lock:
	@scripts/lock

clean:
	rm -rf .venv .trunkline build benchmarks/build
