#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Under a systemd: the system's units as they are installed. Its descriptor store
# is the keeper: a wmapd that is killed, and killed again, is followed by one that
# goes on. That systemd has namespaces of its own, and no unit but ours.
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

systemd=/lib/systemd/systemd
groups=/sys/fs/cgroup/systemd
[ -d "$groups" ] || groups=/sys/fs/cgroup
group=$groups/wmap-test-$$
units=$work/units
init=

not_tried() {
	echo "ok: not tried, $1"
	exit 0
}

can() {
	[ "$(id -u)" = 0 ] && command -v nsenter >/dev/null &&
		unshare --mount --pid --fork --cgroup true 2>/dev/null &&
		mkdir "$group" 2>/dev/null
}
[ -x "$systemd" ] || not_tried "there is no systemd"
can || not_tried "namespaces and cgroups are not to be had"

# Its first process takes all others with it.
stop() {
	[ -n "$init" ] && kill -KILL "$init" 2>/dev/null
	wait
	find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
	rm -rf "$work"
}
trap stop EXIT

inside() {
	nsenter --target "$init" --mount --pid --cgroup "$@"
}

state() {
	inside systemctl show --property "$1" --value "$2"
}

is() {
	test "$(state "$2" "$1")" = "$3"
}

# The service sees no /tmp: what it runs is brought to where nothing else is.
mkdir "$units" "$work/bin"
cp "$WMAP_BIN"/wmap{,d} "$work/bin"
cp "$WMAP_BUILD"/obj/systemd/system/* "$units"
sed -i "s|^ExecStart=.*|ExecStart=/opt/wmapd|" "$units/wmapd.service"
for unit in sysinit basic sockets shutdown umount final exit paths timers slices; do
	cp "/lib/systemd/system/$unit.target" "$units"
done
printf '[Unit]\nRequires=wmapd.socket\nDefaultDependencies=no\n' \
	>"$units/wmap-test.target"

cat >"$work/init" <<'END'
echo 0 >"$group/cgroup.procs" || exit
exec unshare --mount --pid --fork --cgroup bash -c '
	mount -t proc proc /proc && mount -t tmpfs tmpfs /run &&
		mount --bind "$0" /opt || exit
	container=lxc SYSTEMD_UNIT_PATH=$1 exec "$2" --system \
		--unit=wmap-test.target --log-target=console --show-status=no
' "$bin" "$units" "$systemd"
END
group=$group bin=$work/bin units=$units systemd=$systemd \
	bash "$work/init" >"$work/systemd.log" 2>&1 &
parent=$!

started() {
	init=$(pgrep -P "$parent" 2>/dev/null) && [ -n "$init" ] &&
		is wmapd.socket ActiveState active 2>/dev/null
}
soon started || {
	cat "$work/systemd.log"
	failed "no systemd with wmapd's socket"
	exit 1
}

head -c 65536 /dev/zero >"$work/file"
begin one nsenter --target "$init" --mount --pid --cgroup \
	env LD_PRELOAD="$WMAP_LIB/libwmap-preload.so" \
	WMAP_SOCKET=/run/wmap.sock WMAP_MAP="$work/*" "$programs/share" \
	"$work/file"
[ "$(ask one "store 5 11")" = "done" ] || {
	inside systemctl --no-pager status wmapd.service
	failed "no store under systemd's wmapd"
	exit 1
}
expect "systemd starts wmapd for its client" is wmapd.service ActiveState active
expect "... and holds what it has" test \
	"$(state NFileDescriptorStore wmapd.service)" -gt 2

pager() { state MainPID wmapd.service; }

another() {
	test "$(pager)" != "$1" && is wmapd.service ActiveState active
}

for ((round = 1; round <= 8; round++)); do
	was=$(pager)
	inside systemctl kill --signal KILL wmapd.service
	soon another "$was" || break
	[ "$(ask one "load 5")" = 11 ] || break
	[ "$(ask one "store $((round * 4096)) $round")" = "done" ] || break
done
expect "killed eight times, it is there, and nothing is lost" test $round = 9
expect "a client loads what it stored before" test "$(ask one "load 4096")" = 1
end one
bytes() {
	od -An -tu1 -v -w4096 "$work/file" | awk '{ print $1 }' | tr '\n' ' '
}
written() {
	test "$(bytes)" = "0 1 2 3 4 5 6 7 8 0 0 0 0 0 0 0 "
}
expect "all of it reaches the file" soon written
inside systemctl stop wmapd.service
expect "stopped, it has ended well" is wmapd.service Result success
finish
