# `make` lists the targets. Needs GNU make 4 and bash.
#
#   LIBTORCH, LIBTORCH_VERSION   which libtorch: see `Scripts/libtorch.sh --help`
#   ARGS                         extra arguments for `make compare`, `make race` and `make torture`, such as ARGS='--help'
#   DATA, OUT                    data set (or folder of images) and results folder of `make compare`, if not the defaults

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# SwiftPM uses all cores, and two of its runs in one scratch folder only wait for each other.
.NOTPARALLEL:
.PHONY: help setup build compare atari check test torture race docs lint format clean

ARGS =
DATA = fashion-mnist
OUT = runs/compare
SOURCES := $(wildcard Package.swift Sources Tests Examples Benchmarks)

# A build folder for each libtorch that is asked for by name, so that going back and forth does not build everything again.
ifeq ($(LIBTORCH)$(LIBTORCH_VERSION),)
SCRATCH = .build
else
SCRATCH = .build-libtorch-$$(Scripts/libtorch.sh --print version)
endif

# Begins each recipe that runs swift: sets the environment, `scratch` to the build folder, and "$@" to the options that every
# swift command gets. All of them get the same ones, release included, so that the tests and the command share one build.
# Assignments first, because bash stops at a failing one but not at a failing $(...) inside a command.
PREPARE = environment="$$(Scripts/libtorch.sh --print env)"; flags="$$(Scripts/libtorch.sh --print flags)"; \
	scratch="$(SCRATCH)"; eval "$$environment"; WEIGHTNORM_COMMIT="$$(Scripts/commit.sh)"; export WEIGHTNORM_COMMIT; \
	eval "set -- -c release --explicit-target-dependency-import-check error $$flags"; \
	set -- "$$@" --scratch-path "$$scratch"

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

setup: ## set up libtorch (downloads about 550 MB the first time)
	@Scripts/libtorch.sh

build: setup ## build the weightnorm command
	@$(PREPARE); swift build "$$@" --product weightnorm

compare: setup ## train one network five ways on Fashion-MNIST, and write a report
	@if [[ "$(DATA)" == fashion-mnist ]]; then Scripts/fashion-mnist.sh; fi
	@$(PREPARE); swift build "$$@" --product weightnorm; \
	"$$scratch/release/weightnorm" compare --data "$(DATA)" --out "$(OUT)" $(ARGS)

atari: ## set up the Atari emulator (downloads about 22 MB the first time)
	@Scripts/atari.sh

# The suites that train to an end, run the emulator's process, or wait for servers: `make test` alone runs them. The tests of traps, each in a process of its own, stay, since
# without a backtrace of the trap that they expect they take a second.
SLOW = AtariTests AtariWorkerTests ComparisonTests DataFetcherTests DownloadTests DQNTrainingTests GenerativeTrainingTests NetworkAnalysisTests ReportInBrowserTests ResumeTests SweepTests

check: setup lint ## check the style, build, and run the unit tests: a few minutes, for every commit
	@$(PREPARE); swift build "$$@" --build-tests; SWIFT_BACKTRACE=enable=no OMP_WAIT_POLICY=passive swift test "$$@" --skip-build $(SLOW:%=--skip %)

test: setup lint ## check the style, build everything, and run every test
# The test runner and libtorch both use all cores: waiting threads must not spin beside working ones.
	@$(PREPARE); swift build "$$@" --build-tests; OMP_WAIT_POLICY=passive swift test "$$@" --skip-build
	@$(PREPARE); Scripts/smoke.sh "$$scratch/release/weightnorm"
	@$(PREPARE); Scripts/test-data.sh "$$scratch/release/weightnorm"
	@$(PREPARE); Scripts/test-kills.sh "$$scratch/release/weightnorm" --kills 4
	@$(PREPARE); Scripts/test-versions.sh "$$scratch/release/weightnorm"
	@$(PREPARE); python3 -B Scripts/torture "$$scratch/release/weightnorm" --cases 1
	@$(PREPARE); Scripts/documentation.sh "$$scratch/release"
	@Scripts/test-example.sh
	@Scripts/test-setup.sh

torture: build ## attack the command for an hour: kills, full disks, damaged files, hostile servers; ARGS='--help' lists the options
	@$(PREPARE); python3 -B Scripts/torture "$$scratch/release/weightnorm" $(ARGS)

race: setup ## race against PyTorch and JAX (downloads them the first time); ARGS='--help' lists the options
	@Scripts/race.sh $(ARGS)

docs: setup ## build the documentation as a website in the build folder
	@$(PREPARE); swift build "$$@"; Scripts/documentation.sh "$$scratch/release" "$$scratch/documentation"

lint: ## check the style of the Swift sources
	@swift format lint --strict --recursive --parallel $(SOURCES)

format: ## format the Swift sources in that style
	@swift format --in-place --recursive --parallel $(SOURCES)

clean: ## delete everything built here; keeps results, libtorch and data sets
	@rm -rf .build .build-libtorch-* $(wildcard Examples/*/.build)
