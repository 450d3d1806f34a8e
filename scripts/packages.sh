# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by demo.sh and test.sh: what a bare Debian lacks is installed, as root
# or through sudo; where nothing is missing nothing is run.

# packages_missing PACKAGE... : print those that are not installed
packages_missing() {
	local package

	for package in "$@"; do
		dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null |
			grep -qx installed || echo "$package"
	done
}

# packages_as_root COMMAND... : run it as root
packages_as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

packages_install() {
	packages_as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends \
		-o Dpkg::Use-Pty=0 "$@"
}

# packages_need PACKAGE... : have them all, or say what is missing and exit
packages_need() {
	local missing log

	if ! command -v apt-get >/dev/null; then
		echo "This is no Debian: what Debian calls $* must be there." >&2
		return
	fi
	mapfile -t missing < <(packages_missing "$@")
	if [ "${#missing[@]}" = 0 ]; then
		return
	fi
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		echo "Please install as root: ${missing[*]}" >&2
		exit 1
	fi

	echo "Installing: ${missing[*]}"
	log=$(mktemp)
	# The lists may be absent or old: then fetch them and try once more.
	if ! packages_install "${missing[@]}" >"$log" 2>&1 &&
		! { packages_as_root apt-get update -qq >>"$log" 2>&1 &&
			packages_install "${missing[@]}" >>"$log" 2>&1; }; then
		cat "$log" >&2
		rm -f "$log"
		echo "Could not install: ${missing[*]}" >&2
		exit 1
	fi
	rm -f "$log"
}

# packages_need_build PACKAGE... : what every build needs, and these
packages_need_build() {
	packages_need gcc libc6-dev binutils cmake ninja-build pkgconf \
		liburing-dev liblz4-dev libzstd-dev libmicrohttpd-dev libseccomp-dev "$@"
}
