# A thin face over Meson: each target is what a person wants done. tools/setup installs what is missing.

MESON ?= meson
BUILD ?= build
BUILD_TEST ?= build-test
BUILD_FUZZ ?= build-fuzz
BUILD_COVERAGE ?= build-coverage
BUILD_TSAN ?= build-tsan
# warnings are errors in CI
MESON_FLAGS ?=

.PHONY: all build demo test tsan stress sim soak bench lint install fuzz coverage setup clean

all: build

setup:
	@tools/setup

# Optimised, with symbols, no sanitizers: what is installed and measured.
$(BUILD)/build.ninja: | setup
	$(MESON) setup $(MESON_FLAGS) $(BUILD)

build: setup $(BUILD)/build.ninja
	@$(MESON) compile -C $(BUILD)

demo: build
	@$(BUILD)/src/cli/peercache demo

$(BUILD_TEST)/build.ninja: | setup
	$(MESON) setup -Db_sanitize=address,undefined -Db_lundef=false $(MESON_FLAGS) $(BUILD_TEST)

test: setup $(BUILD_TEST)/build.ninja
	@$(MESON) compile -C $(BUILD_TEST)
	@$(MESON) test -C $(BUILD_TEST) --no-rebuild --print-errorlogs; status=$$?; \
	 tools/count-tests $(BUILD_TEST)/meson-logs/testlog.json && exit $$status

# The other compiler, and ThreadSanitizer over what has threads.
$(BUILD_TSAN)/build.ninja: | setup
	CC=clang $(MESON) setup -Db_sanitize=thread -Db_lundef=false $(MESON_FLAGS) $(BUILD_TSAN)

tsan: setup $(BUILD_TSAN)/build.ninja
	@$(MESON) compile -C $(BUILD_TSAN)
	@$(MESON) test -C $(BUILD_TSAN) --no-rebuild --print-errorlogs driver_endpoints driver_node driver_store_worker driver_timer driver_udp

# What "make test" does in part, whole: 64 processes of 1,000 commits on each kind of store, killed at random.
stress: build
	@$(MESON) compile -C $(BUILD)
	@PEERCACHE_STRESS=1 $(MESON) test -C $(BUILD) --no-rebuild --suite store --verbose --num-processes 1

# The simulator in full, half an hour or so of two quiet cores; `make sim SIM_SHARE=10` is a tenth of the machines.
SIM_SHARE ?= 1

sim: build
	@PACKET_SEEDS=$$((1 + 99 / $(SIM_SHARE))) $(BUILD)/tests/sim/test_packets >$(BUILD)/packets.log 2>&1 || { cat $(BUILD)/packets.log; exit 1; }
	@tests/sim/full.py $(BUILD)/tests/sim/peercache-sim $(SIM_SHARE)

# What "make test" does for a minute, for an hour.
soak: build
	@python3 tests/cli/test_soak.py $(BUILD)/src/cli/peercache 3600 $(BUILD)/tests/cli/count_memory.so

bench: build
	@$(MESON) test -C $(BUILD) --benchmark --verbose

lint: setup
	@tools/lint

install: build
	$(MESON) install -C $(BUILD) --no-rebuild

# Unoptimised, so that lines are lines. The table is by room; tools/coverage lists the lines that never ran.
$(BUILD_COVERAGE)/build.ninja:
	@tools/setup --dev
	$(MESON) setup -Db_coverage=true --buildtype=debug $(BUILD_COVERAGE)

coverage: setup $(BUILD_COVERAGE)/build.ninja
	@$(MESON) compile -C $(BUILD_COVERAGE)
	@find $(BUILD_COVERAGE) -name '*.gcda' -delete
	@$(MESON) test -C $(BUILD_COVERAGE) --no-rebuild
	@tools/coverage $(BUILD_COVERAGE)

# Each fuzzer until it had FUZZ_MINUTES of CPU in all, counted on from run to run (docs/fuzzing.md).
FUZZ_MINUTES ?= 1

$(BUILD_FUZZ)/build.ninja:
	@tools/setup --dev
	CC=clang $(MESON) setup -Db_sanitize=address,undefined -Db_lundef=false \
	 -Dc_args=-fsanitize=fuzzer-no-link $(BUILD_FUZZ)

fuzz: $(BUILD_FUZZ)/build.ninja
	@ninja -C $(BUILD_FUZZ) $(patsubst fuzz/%.c,fuzz/%,$(wildcard fuzz/fuzz_*.c))
	@tools/fuzz --build $(BUILD_FUZZ) --minutes $(FUZZ_MINUTES)

clean:
	rm -rf $(BUILD) $(BUILD_TEST) $(BUILD_TSAN) $(BUILD_COVERAGE) $(BUILD_FUZZ)
