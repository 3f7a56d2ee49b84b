# A thin face over Meson: each target is what a person wants done. tools/setup installs what is missing.

MESON ?= meson
BUILD ?= build
BUILD_TEST ?= build-test
BUILD_FUZZ ?= build-fuzz
BUILD_COVERAGE ?= build-coverage
# warnings are errors in CI
MESON_FLAGS ?=

.PHONY: all build demo test bench lint install fuzz coverage setup clean

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

bench: build
	@$(MESON) test -C $(BUILD) --benchmark --verbose

lint: setup
	@tools/lint

install: build
	$(MESON) install -C $(BUILD) --no-rebuild

$(BUILD_COVERAGE)/build.ninja: | setup
	$(MESON) setup -Db_coverage=true $(BUILD_COVERAGE)

coverage: setup $(BUILD_COVERAGE)/build.ninja
	@$(MESON) compile -C $(BUILD_COVERAGE)
	@$(MESON) test -C $(BUILD_COVERAGE) --no-rebuild
	@ninja -C $(BUILD_COVERAGE) coverage-text && cat $(BUILD_COVERAGE)/meson-logs/coverage.txt

clean:
	rm -rf $(BUILD) $(BUILD_TEST) $(BUILD_COVERAGE)
