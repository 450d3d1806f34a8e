#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Build everything in every way and run all the tests. On a bare Debian
# bookworm, as root or through sudo, it first installs what is missing. Nothing
# is left behind but build/.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/packages.sh

usage() {
	cat <<'END'
usage: ./test.sh [--long] [--preset NAME]... [--no-install]

Builds wmap and runs its tests: in full as dev (gcc, assertions) and under
AddressSanitizer with UBSan (asan) and ThreadSanitizer (tsan), in part when
compiled by clang and as release. Twenty minutes or so, with two CPUs.

  --long          torture tests run for a minute each
  --preset NAME   only this one of dev, asan, tsan, clang, release; repeatable
  --no-install    install no package; say what is missing by failing
  --help          this text

Results are in build/NAME. The exit status is 0 if everything passed. With
CI=true in the environment it is also 1 if more tests were skipped than
tests/skips-allowed says.
END
}

long=
install=yes
presets=()
while [ $# -gt 0 ]; do
	case $1 in
	--long) long=yes ;;
	--preset)
		case ${2-} in
		dev | asan | tsan | clang | release) presets+=("$2") ;;
		*)
			usage >&2
			exit 2
			;;
		esac
		shift
		;;
	--no-install) install= ;;
	--help | -h)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done
if [ "${#presets[@]}" = 0 ]; then
	presets=(dev asan tsan clang release)
	everything=yes
else
	everything=
fi

jobs=$(nproc)
passed=0
failed=0
skipped=0
summary=()

# check NAME COMMAND... : one test that is no ctest
check() {
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		summary+=("$name: passed")
	else
		failed=$((failed + 1))
		summary+=("$name: FAILED")
	fi
}

sources() {
	find include lib daemon bench demo tests -name '*.[ch]' "$@"
}

scripts() {
	find demo.sh test.sh .ci/run demo scripts tests -type f \
		\( -name '*.sh' -o -name '*.bash' -o -name run \) "$@"
}

check_format() {
	sources -print0 | xargs -0 clang-format --dry-run -Werror
}

check_scripts() {
	scripts -print0 | xargs -0 shellcheck -x -S warning
}

check_manuals() {
	mandoc -Tlint -W warning man/*.[1-9]
}

# build PRESET : quiet, unless it fails
build() {
	local log=build/$1/build.log

	mkdir -p "build/$1"
	if { cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs"; } \
		>"$log" 2>&1; then
		return 0
	fi
	tail -n 60 "$log"
	return 1
}

# count PRESET RESULTS : add what ctest's report says to the totals
count() {
	local tests fails skips

	tests=$(attribute tests "$2")
	fails=$(attribute failures "$2")
	skips=$(($(attribute skipped "$2") + $(attribute disabled "$2")))
	passed=$((passed + tests - fails - skips))
	failed=$((failed + fails))
	skipped=$((skipped + skips))
}

attribute() {
	sed -nE '/<testsuite/,/>/s/.*[[:space:]]'"$1"'="([0-9]+)".*/\1/p' "$2" |
		head -n 1
}

# run PRESET CTEST-OPTION... : all its tests that the options select
run() {
	local preset=$1 results=$PWD/build/$1/results.xml log=build/$1/test.log
	shift

	rm -f "$results"
	ctest --test-dir "build/$preset" -j "$jobs" --no-tests=error \
		--output-on-failure --output-junit "$results" "$@" 2>&1 |
		tee "$log" || true
	if [ ! -s "$results" ] || ! count "$preset" "$results"; then
		failed=$((failed + 1))
		summary+=("$preset: ctest did not run")
		return
	fi
	summary+=("$preset: $(grep -E 'tests passed,' "$log" | tail -n 1)")
}

# test_preset PRESET
test_preset() {
	local select=(-LE long)

	case $1 in
	asan | tsan) select=(-LE 'long|bench') ;;
	clang) select=(-L 'unit|uffd|process|fuzz' -LE 'long|slow') ;;
	release) select=(-L 'bench|process|property' -LE long) ;;
	esac
	echo "== $1"
	if ! build "$1"; then
		failed=$((failed + 1))
		summary+=("$1: does not build")
		return
	fi
	run "$1" "${select[@]}"
	if [ "$long" ] && [ "$1" != clang ] && [ "$1" != release ]; then
		run "$1" -L long
	fi
}

if [ "$install" ]; then
	packages_need_build g++ check valgrind clang \
		libclang-rt-14-dev clang-format shellcheck \
		mandoc sqlite3 git python3-minimal spin
fi

if [ "$everything" ]; then
	check "clang-format" check_format
	check "shellcheck" check_scripts
	check "manual pages" check_manuals
fi
for preset in "${presets[@]}"; do
	test_preset "$preset"
done

if [ "${CI-}" = true ] && [ "$everything" ]; then
	allowed=$(cat tests/skips-allowed)
	if [ "$skipped" -gt "$allowed" ]; then
		summary+=("skips: $skipped, where $allowed are allowed: FAILED")
		failed=$((failed + 1))
	fi
fi

echo "== summary, after $((SECONDS / 60)) min $((SECONDS % 60)) s"
printf '%s\n' "${summary[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
